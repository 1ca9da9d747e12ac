"""A file is written whole or not at all: beside the old one, which it then replaces in one step."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from minigrad.errors import MinigradError


class FolderError(MinigradError, FileNotFoundError):
    """A file is to be written where no folder is, or where a folder stands."""

    def __str__(self) -> str:
        return str(self.args[0])


def write_whole(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file, or replace one, in a single step: if anything fails, what was there is untouched.

    Parameters
    ----------
    path : path
    data : bytes

    Returns
    -------
    Path
        Where the file stands.

    Raises
    ------
    FolderError
        If there is no folder to write into, or `path` is one.
    OSError
        If the folder cannot be written or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from minigrad.files import write_whole
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", b"whole").read_bytes()
    b'whole'
    """
    target = Path(path)
    if target.is_dir():
        raise FolderError(f"cannot write {target}: it is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise FolderError(f"cannot write {target}: there is no folder {target.parent}; make it first")
    temporary = target.with_name(f".{target.name[:40]}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = str(target)  # and not a name that nobody asked for
        raise
    with contextlib.suppress(OSError):  # not every file system lets a folder be synced
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return target
