"""mutmut leaves decorated functions alone: give it the same module with each decorator called after its function."""

import ast

SUFFIX = "_bare"
"""What the name of the function itself ends with then; its own name is what the decorators make of it."""
_MUTATED_ANYWAY = {"staticmethod", "classmethod"}


def undecorated(source: str) -> str:
    """Return a module whose decorated functions and methods are bare, and do the same."""
    lines = source.splitlines()
    for function in sorted(_decorated(ast.parse(source)), key=lambda f: f.lineno, reverse=True):
        wrap = [ast.unparse(decorator) for decorator in function.decorator_list]
        made = f"{function.name} = {'('.join(wrap)}({function.name}{SUFFIX}{')' * len(wrap)}"
        first, last = function.lineno - 1, function.end_lineno or function.lineno
        lines[first] = lines[first].replace(f"def {function.name}(", f"def {function.name}{SUFFIX}(", 1)
        lines.insert(last, f"{' ' * function.col_offset}{made}")
        del lines[function.decorator_list[0].lineno - 1 : first]
    return "\n".join(lines) + "\n"


def _decorated(module: ast.Module) -> list[ast.FunctionDef]:
    bodies = [module.body, *(node.body for node in module.body if isinstance(node, ast.ClassDef))]
    return [
        node
        for body in bodies
        for node in body
        if isinstance(node, ast.FunctionDef)
        and node.decorator_list
        and not {ast.unparse(decorator) for decorator in node.decorator_list} & _MUTATED_ANYWAY
    ]
