"""Refuse files in a model's folder that cannot be read as they should.

Opening a pipe without a writer, a socket or a device may never end. A broken link, or a folder in
place of a file, would be ignored by transformers, and another file used instead.
"""

import stat
from fnmatch import fnmatch
from pathlib import Path

from benchmark.errors import ModelError
from benchmark.models.model_files import may_be_read
from benchmark.reading.files import open_regular

_OPENED = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors", "*.bin", "*.gguf")
"""Files that a library may try to open."""

_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_POINTER = 1024


def check_folder(model: str, folder: Path) -> None:
    """Check that the files of a model's folder are regular files, or links to such.

    Raises:
        ModelError: naming the first one that is not.
    """
    for path in sorted(folder.iterdir()):
        problem = _problem(path)
        if problem:
            raise ModelError(f"{model}: {path.name} is {problem}")


def check_no_pointer(model: str, path: Path) -> None:
    """Refuse a pointer of Git LFS, which is in place of a file that was not downloaded.

    Raises:
        ModelError: if the file is one.
    """
    if path.stat().st_size > _LONGEST_POINTER:
        return
    with open_regular(path) as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"{model}: {path.name} is a Git LFS pointer, not the file: run git lfs pull in "
                f"{path.parent}"
            )


def _problem(path: Path) -> str:
    """Return what is wrong with a file; empty if nothing is."""
    is_read = may_be_read(path.name)
    try:
        mode = path.stat().st_mode
    except OSError as error:  # a link to nothing, to itself, or into a closed folder
        return f"a link that cannot be followed: {error.strerror}" if is_read else ""
    if stat.S_ISDIR(mode):
        return "a folder, but a file is expected; move it away" if is_read else ""
    special = _SPECIAL.get(stat.S_IFMT(mode))
    if special and any(fnmatch(path.name, pattern) for pattern in _OPENED):
        return f"{special}, not a regular file; move it away"
    return ""
