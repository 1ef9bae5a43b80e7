"""Sizes that keep code readable: limits of one module, class and function, and the line budget of the whole.

``make check`` prints the result; ``test_sizes.py`` shows that every limit bites and fails when one is exceeded.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src" / "robotrader"

MODULE_LINES = 500
CLASS_LINES = 200
PUBLIC_METHODS = 12
FUNCTION_LINES = 40  # of the body, without its docstring
POSITIONAL_ARGUMENTS = 4
BUDGET = 25_000  # of src, with everything

Measure = tuple[int, str, int, int]  # line, what, size, limit


def oversized(source: str, name: str) -> list[str]:
    """List what is too large in one module."""
    tree = ast.parse(source)
    measures = [(1, "lines of the module", len(source.splitlines()), MODULE_LINES), *_measure(tree)]
    return [
        f"{name}:{line}: {size} {what}, the limit is {limit}" for line, what, size, limit in measures if size > limit
    ]


def _measure(tree: ast.Module) -> Iterator[Measure]:
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bound = {method for node in classes for method in _methods(node) if not _is_static(method)}
    for node in classes:
        public = [method for method in _methods(node) if not method.name.startswith("_")]
        yield node.lineno, f"lines of class {node.name}", _lines(node, node), CLASS_LINES
        yield node.lineno, f"public methods of class {node.name}", len(public), PUBLIC_METHODS
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
        positional = len(function.args.posonlyargs) + len(function.args.args) - (function in bound)
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        lines = _lines(body[0], body[-1]) if body else 0
        yield function.lineno, f"lines in the body of {function.name}", lines, FUNCTION_LINES
        yield function.lineno, f"positional arguments of {function.name}", positional, POSITIONAL_ARGUMENTS


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [child for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)]


def _is_static(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(decorator, ast.Name) and decorator.id == "staticmethod" for decorator in method.decorator_list
    )


def _lines(first: ast.stmt, last: ast.stmt) -> int:
    return (last.end_lineno or last.lineno) - first.lineno + 1


def main() -> int:
    """Print the size of `src` and everything that is too large; 1 when something is."""
    sources = {path.relative_to(SRC.parent).as_posix(): path.read_text("utf-8") for path in sorted(SRC.rglob("*.py"))}
    found = [line for name, source in sources.items() for line in oversized(source, name)]
    total = sum(len(source.splitlines()) for source in sources.values())
    print(*found, sep="\n", end="\n" if found else "")  # noqa: T201
    advice = "" if total <= BUDGET else ": over budget, delete first"
    print(f"src: {len(sources)} modules, {total:,} of {BUDGET:,} lines{advice}; {len(found)} too large")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
