"""Writing files: whole or not at all, and never over something that this project did not write."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from minigrad.files import write_whole
from visualize.errors import DrawingError, WouldOverwriteError

if TYPE_CHECKING:
    from visualize.diagram import Diagram

MARK = b"drawn by minigrad"


def write(path: str | os.PathLike[str], content: bytes, *, overwrite: bool = False) -> Path:
    """Write a file that carries our mark, so that it may be written again.

    Parameters
    ----------
    path : path
    content : bytes
        With `MARK` in it, see `marked`.
    overwrite : bool
        Replace whatever is there.

    Raises
    ------
    WouldOverwriteError
        If the file exists, was not written by this project, and `overwrite` is not set.
    OSError
        If the file cannot be written; nothing is left half written.
    """
    target = Path(path)
    if target.exists() and not overwrite and target.is_file() and MARK not in target.read_bytes():
        raise WouldOverwriteError(
            f"{target} exists and was not written by minigrad; give another name, or overwrite it on purpose "
            "(--overwrite, or overwrite=True)"
        )
    return write_whole(target, content)


def marked(content: bytes, form: str) -> bytes:
    """Return the content of a file with our mark in it, in the way that its format keeps remarks."""
    if MARK in content:
        return content
    if form in ("svg", "html"):
        return content.rstrip() + b"\n<!-- " + MARK + b" -->\n"
    if form == "png":
        return _png_with_text(content)
    if form == "pdf":
        return content.rstrip() + b"\n% " + MARK + b"\n"
    return content.rstrip() + b"\n// " + MARK + b"\n"


def _png_with_text(content: bytes) -> bytes:
    chunk = b"tEXtSoftware\0" + MARK
    length = struct.pack(">I", len(chunk) - 4)
    checksum = struct.pack(">I", zlib.crc32(chunk))
    end = content.rindex(b"IEND") - 4
    return content[:end] + length + chunk + checksum + content[end:]


def read_drawing(path: str | os.PathLike[str]) -> Diagram:
    """Read a drawing in characters from a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    DrawingSyntaxError
        If it does not read as a drawing; the message begins with the file's name.
    """
    from visualize.reader import parse

    text = read_text(path)
    try:
        return parse(text)
    except DrawingError as error:
        error.args = (f"{path}: {error}",)
        raise


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a text file.

    Raises
    ------
    OSError
        If it cannot be read.
    DrawingError
        If it is not a text in UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DrawingError(f"{path}: not a text in UTF-8 ({error.reason} at byte {error.start})") from None
