"""A pytest plugin (`-p tests.mutants.plant`) that plants one bug before any test is collected."""

import os

import pytest

from tests.mutants.planted import BY_NAME

VARIABLE = "PLANTED_MUTANT"  # not ROBOTRADER_*: no test sees such a variable


def pytest_configure(config: pytest.Config) -> None:
    """Plant the bug that the environment names, until the end of the process."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    BY_NAME[os.environ[VARIABLE]].plant(patch)
