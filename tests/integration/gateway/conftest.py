"""A message that ib_async could not decode fails the test."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _decodes_everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    lost = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name == "ib_async.Decoder" and record.levelno >= logging.ERROR
    ]
    assert not lost
