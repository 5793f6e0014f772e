"""The releases of a library that the package index really has."""

import re
import subprocess
from collections.abc import Callable, Sequence

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from benchmark.errors import SettingError
from benchmark.upgrades.pip import run_pip

_LISTED = re.compile(r"^Available versions: (?P<versions>.+)$", re.MULTILINE)
_PATIENCE = 180
"""Seconds that the index may take."""

Listing = Callable[[str, bool], str]


def listing(library: str, pre: bool) -> str:  # noqa: FBT001  # one of two lists of the index
    """What pip says of a library's releases, from the index that it is configured with.

    Raises:
        SettingError: when the index does not know the library, or does not answer.
        MissingLibraryError: where there is no pip.
    """
    try:
        done = run_pip("index", "versions", library, *["--pre"] * pre, patience=_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise SettingError(f"{library}: the index did not answer in {_PATIENCE} s") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise SettingError(f"{library}: the index gives no releases: {reason}")
    return done.stdout


def releases(library: str, *, pre: bool = False, listed: Listing = listing) -> tuple[str, ...]:
    """All releases that pip could install here, the oldest first.

    ``pre`` takes those before a release along. Names of builds (``+cpu``) are left out.

    Raises:
        SettingError: when there are none.
    """
    name = canonicalize_name(library)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise SettingError(f"{library!r} is no name of a library")
    found = _LISTED.search(listed(name, pre))
    versions = {_public(each) for each in found["versions"].split(",")} if found else set()
    known = sorted(version for version in versions if version is not None)
    if not known:
        raise SettingError(f"{library}: the index lists no releases")
    return tuple(map(str, known))


def between(known: Sequence[str], library: str, old: str, new: str) -> tuple[str, ...]:
    """The releases from one to another, both included.

    The ends need not be listed: what was withdrawn can still be installed by its exact name, and
    whether it can is found out there.

    Raises:
        SettingError: when an end is no version, or they are in the wrong order.
    """
    first, last = _end(library, old), _end(library, new)
    if first == last:
        raise SettingError(f"{library}: {old} twice; give an older release and a newer one")
    if first > last:
        raise SettingError(f"{library}: {old} is not older than {new}; swap them")
    inside = {each for each in map(Version, known) if first < each < last}
    return tuple(map(str, sorted({first, *inside, last})))


def _end(library: str, version: str) -> Version:
    parsed = _public(version)
    if parsed is None:
        raise SettingError(f"{library}: {version!r} is no version")
    return parsed


def _public(version: str) -> Version | None:
    try:
        return Version(Version(version.strip()).public)
    except InvalidVersion:  # ancient releases with names of their own
        return None
