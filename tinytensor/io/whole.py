"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

FilePath = str | os.PathLike[str]


def write_whole(
    path: FilePath, data: bytes | Callable[[BinaryIO], object], op: str = "save"
) -> None:
    """Write the file `path` so that a reader finds the old content or the new, never a part.

    The content goes to a hidden file in the same folder, reaches the disk (fsync) and takes the
    name `path` in one step. On any error the old file is untouched and the hidden one removed;
    only a process that is killed leaves it behind (`.name.….tmp`). A new file has the permissions
    that the umask gives, an old one keeps its own, and a symbolic link is followed.

    data : the content, or a function that writes it into the binary file that it is handed
    op : what messages call the operation

    Raises FileNotFoundError if the folder doesn't exist, ValueError if `path` is something other
    than a file.
    """
    path = os.path.realpath(os.fsdecode(path))
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"{op}: expected an existing folder, got {folder!r}; create it with os.makedirs"
        )
    old_mode = os.stat(path).st_mode if os.path.exists(path) else None
    if old_mode is not None and not stat.S_ISREG(old_mode):
        raise ValueError(
            f"{op}: expected the path of a file, got {path!r}, a folder or device; add a file name"
        )
    hidden = os.path.join(folder, f".{name[:32]}.{secrets.token_hex(8)}.tmp")
    try:
        with open(hidden, "xb") as file:
            if old_mode is not None:
                os.chmod(hidden, stat.S_IMODE(old_mode))
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(hidden)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    # The new name outlives a power cut once the folder is on disk too. By now the file is in place
    # and whole, so a system that can't sync folders (Windows, some network disks) is no failure.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
