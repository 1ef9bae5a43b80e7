"""Work on both cores."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def workers() -> ProcessPoolExecutor:
    """Return two processes that begin anew: a forked one inherits locks of threads that it does not have, and waits."""
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))
