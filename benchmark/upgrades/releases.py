"""List the releases of a library that the package index has."""

import re
import subprocess
from collections.abc import Callable, Sequence

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from benchmark.errors import SettingError
from benchmark.upgrades.pip import run_pip

_LISTED = re.compile(r"^Available versions: (?P<versions>.+)$", re.MULTILINE)
_PATIENCE = 180
"""The longest time to wait for the index, in seconds."""

Listing = Callable[[str, bool], str]


def listing(library: str, pre: bool) -> str:  # noqa: FBT001  # one of two lists of the index
    """Return pip's list of a library's releases, from the index that pip is configured with.

    Raises:
        SettingError: if the index does not know the library or does not answer.
        MissingLibraryError: if pip is not installed.
    """
    try:
        done = run_pip("index", "versions", library, *["--pre"] * pre, patience=_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise SettingError(f"{library}: the index did not answer in {_PATIENCE} s") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise SettingError(f"{library}: the index lists no releases: {reason}")
    return done.stdout


def releases(library: str, *, pre: bool = False, listed: Listing = listing) -> tuple[str, ...]:
    """Return all releases that pip could install here, oldest first.

    ``pre`` includes pre-releases. Local versions (``+cpu``) count as their public version.

    Raises:
        SettingError: if there are none.
    """
    name = canonicalize_name(library)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise SettingError(f"{library!r} is not a library's name")
    match = _LISTED.search(listed(name, pre))
    listed_versions = match["versions"].split(",") if match else ()
    versions = {_public(version) for version in listed_versions} - {None}
    if not versions:
        raise SettingError(f"{library}: the index lists no releases")
    return tuple(map(str, sorted(version for version in versions if version is not None)))


def between(listed: Sequence[str], library: str, old: str, new: str) -> tuple[str, ...]:
    """Return the releases from one to another, both included.

    The ends need not be listed: a yanked release can still be installed by its exact version.

    Raises:
        SettingError: if an end is not a version, or the ends are in the wrong order.
    """
    first, last = _end(library, old), _end(library, new)
    if first == last:
        raise SettingError(f"{library}: {old} given twice; give an older and a newer release")
    if first > last:
        raise SettingError(f"{library}: {old} is not older than {new}; swap them")
    inside = {version for version in map(Version, listed) if first < version < last}
    return tuple(map(str, sorted({first, *inside, last})))


def _end(library: str, version: str) -> Version:
    parsed = _public(version)
    if parsed is None:
        raise SettingError(f"{library}: {version!r} is not a version")
    return parsed


def _public(version: str) -> Version | None:
    try:
        return Version(Version(version.strip()).public)
    except InvalidVersion:  # releases older than the version scheme
        return None
