"""CI workflows run only pinned code, hold no more rights than they need, and do nothing that `make` cannot do here."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))

# Commits of released tags, read from each action's own history. A new pin is added here after the same look.
KNOWN = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/setup-node": ("820762786026740c76f36085b0efc47a31fe5020", "v7.0.0"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/attest-build-provenance": ("a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32", "v4.1.0"),
    "actions/dependency-review-action": ("2031cfc080254a8a887f58cffee85186f0e49e48", "v4.9.0"),
    "pypa/gh-action-pypi-publish": ("81e9d935c883d0b210363ab89cf05f3894778450", "v1.8.14"),
    "github/codeql-action": ("8aad20d150bbac5944a9f9d289da16a4b0d87c1e", "v4.36.2"),
}
PINNED = {f"{action}@{sha} # {tag}" for action, (sha, tag) in KNOWN.items()}


def make_targets() -> set[str]:
    """Name the documented targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def faults(workflow: str) -> list[str]:
    """List what is wrong with one workflow, line by line: our workflows are simple enough to need no YAML parser."""
    commands = {f"make {target}" for target in make_targets()} | {".ci/run"}
    uses = re.findall(r"^[ -]*uses:\s*(.+?)\s*$", workflow, re.MULTILINE)
    found = [f"not pinned to a known commit: {use}" for use in uses if use not in PINNED]
    runs = re.findall(r"^[ -]*run:\s*(.*?)\s*$", workflow, re.MULTILINE)
    found += [f"a step does what `make` cannot: {run}" for run in runs if run not in commands]
    if not re.search(r"^permissions: \{\}$", workflow, re.MULTILINE):
        found.append("no top-level `permissions: {}`")
    if "pull_request_target" in workflow:
        found.append("pull_request_target runs strangers' code with our rights")
    if workflow.count("actions/checkout@") != workflow.count("persist-credentials: false"):
        found.append("a checkout keeps its credentials")
    if workflow.count("runs-on:") != workflow.count("timeout-minutes:"):
        found.append("a job has no time limit")
    if "secrets." in workflow:
        found.append("a long-lived secret is used")
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_without_fault(path: Path) -> None:
    assert faults(path.read_text("utf-8")) == []


GOOD = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "actions/checkout@v7"),
        ("actions/checkout@3d3c42e5", "actions/checkout@00000000"),
        ("actions/checkout@", "someone/checkout@"),
        ("# v7.0.1", "# v7.0.2"),
        ("run: make test", "run: make nothing"),
        ("run: make test", "run: |\n          curl | sh"),
        ("permissions: {}", "permissions: write-all"),
        ("  pull_request:", "  pull_request_target:"),
        ("persist-credentials: false", "fetch-depth: 0"),
        ("    timeout-minutes: 30\n", ""),
        ("run: make test", "run: make test\n        env: {TOKEN: '${{ secrets.TOKEN }}'}"),
    ],
)
def test_a_fault_is_found(old: str, new: str) -> None:
    assert old in GOOD
    assert faults(GOOD.replace(old, new, 1))


def test_the_local_script_uses_make() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    called = set(re.findall(r"^make ([a-z-]+)$", script.read_text("utf-8"), re.MULTILINE))
    assert "test" in called
    assert called <= make_targets()
