"""Digest the files of a local model, completely and fast.

A digest covers every byte: an edited layer, or one edited weight, is another model. Blocks of a
file are hashed in parallel, and the digest of a large file is kept in the cache folder until the
file changes. A digest begins with the name of its scheme. Versions up to 0.1 sampled 64 blocks per
file; such digests in older runs are still compared, by :func:`former_digest`.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from benchmark.errors import DataError
from benchmark.models.cache_folder import cache_folder
from benchmark.reading.documents import read_json
from benchmark.reading.files import open_regular
from benchmark.writing import write_text

SCHEME = "sha256-tree:"
"""The prefix of digests of all bytes."""

FORMER_SCHEME = "sha256:"
"""The prefix of digests of sampled blocks, which older versions recorded."""

_BLOCK = 16 * 2**20
"""The bytes of a block; a file's digest is that of the digests of its blocks."""

_THREADS = 16

_LARGE = 64 * 2**20
"""The size from which on a file's digest is kept."""

_SETTLED = 2.0
"""Seconds without a change after which a file's digest is kept: times may be that coarse."""

_SAMPLE, _SAMPLES = 65_536, 64


def files_digest(paths: Iterable[Path]) -> str:
    """Return a digest of the names and contents of files.

    Raises:
        OSError: if a file cannot be read.
        DataError: if one is not a regular file.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {_file_digest(path)}\n".encode())
    return f"{SCHEME}{digest.hexdigest()[:16]}"


def is_local(digest: str) -> bool:
    """Return whether it is the digest of local files, by any scheme, not a commit of the hub."""
    return digest.startswith((SCHEME, FORMER_SCHEME))


def is_comparable(one: object, other: object) -> bool:
    """Return whether two values can be compared: not if they are digests by different schemes."""
    schemes = [
        next((s for s in (SCHEME, FORMER_SCHEME) if str(value).startswith(s)), None)
        for value in (one, other)
    ]
    return None in schemes or schemes[0] == schemes[1]


def former_digest(paths: Iterable[Path]) -> str:
    """Return the digest of versions up to 0.1: names, sizes and 64 blocks of 64 KiB per file."""
    digest = hashlib.sha256()
    for path in paths:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"{path.name} {size}\n".encode())
            for sample in range(_SAMPLES):
                file.seek(size * sample // _SAMPLES)
                digest.update(file.read(_SAMPLE))
    return f"{FORMER_SCHEME}{digest.hexdigest()[:16]}"


def _file_digest(path: Path) -> str:
    state = _state(path)
    if state["size"] < _LARGE:
        return _tree_digest(path, state["size"])
    kept = _kept(path)
    with suppress(DataError):
        match read_json(kept):
            case {"state": dict(old), "digest": str(digest)} if old == state:
                return digest
    digest, now = _tree_digest(path, state["size"]), time.time()
    if _state(path) == state and now - max(state["mtime"], state["ctime"]) / 1e9 > _SETTLED:
        with suppress(OSError):  # a cache that cannot be written costs only time
            write_text(kept, [json.dumps({"state": state, "digest": digest}), "\n"])
    return digest


def _tree_digest(path: Path, size: int) -> str:
    """Return the digest of the digests of a file's blocks."""
    starts = range(0, size, _BLOCK)
    if len(starts) <= 1:
        digests = [_block_digest(path, 0)]
    else:
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            digests = list(pool.map(lambda start: _block_digest(path, start), starts))
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _block_digest(path: Path, start: int) -> bytes:
    with open_regular(path) as file:
        file.seek(start)
        return hashlib.sha256(file.read(_BLOCK)).digest()


def _state(path: Path) -> dict[str, int]:
    """Return what changes with a file's content, also if its time of modification is set back."""
    stat = path.stat()
    return {
        "device": stat.st_dev,
        "inode": stat.st_ino,
        "size": stat.st_size,
        "mtime": stat.st_mtime_ns,
        "ctime": stat.st_ctime_ns,
    }


def _kept(path: Path) -> Path:
    """Return the file in the cache with the digest of a large file."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:24]
    return cache_folder() / "digests" / f"{name}.json"
