"""Files are written whole or not at all."""

from __future__ import annotations

import os
import threading

import pytest

from minigrad.files import FolderError, write_whole


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "a.svg"
    write_whole(path, b"first")
    assert write_whole(path, b"second") == path
    assert path.read_bytes() == b"second" and os.listdir(tmp_path) == ["a.svg"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.svg"
    write_whole(path, b"first")
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, b"second")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"first" and os.listdir(tmp_path) == ["a.svg"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FolderError, match=r"there is no folder .*none; make it first"):
        write_whole(tmp_path / "none" / "a.svg", b"")
    with pytest.raises(FileNotFoundError, match="it is a folder"):
        write_whole(tmp_path, b"")


def test_threads_that_write_one_file_leave_one_of_their_files(tmp_path):
    path = tmp_path / "a.txt"
    threads = [threading.Thread(target=write_whole, args=(path, str(i).encode() * 100_000)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = path.read_bytes()
    assert len(found) == 100_000 and len(set(found)) == 1 and os.listdir(tmp_path) == ["a.txt"]
