"""What is measured of a real machine, and the room that is kept on its disk."""

import shutil
from pathlib import Path

import pytest

from robotrader.adapters import host
from robotrader.adapters.process_files import FOLDER


def test_the_disk_of_the_folder_and_the_slowest_batch_are_measured(tmp_path: Path) -> None:
    found = host.measure(tmp_path, lambda: 0.25)
    assert found.commit_s == 0.25
    assert found.disk_free_ratio is not None
    assert 0 < found.disk_free_ratio < 1


def test_room_is_kept_once_and_given_back(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    host.keep_room(tmp_path)
    assert (tmp_path / host.RESERVE).stat().st_size == host.RESERVE_BYTES
    host.keep_room(tmp_path)
    host.make_room(tmp_path)
    assert not (tmp_path / host.RESERVE).exists()
    host.make_room(tmp_path)


def test_on_a_disk_that_is_nearly_full_no_room_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FOLDER).mkdir()
    used = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used._replace(free=20 * host.RESERVE_BYTES - 1))
    host.keep_room(tmp_path)
    assert not (tmp_path / host.RESERVE).exists()
