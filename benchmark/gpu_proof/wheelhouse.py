"""Gather the wheels that a machine with a GPU and without a network lacks."""

import csv
import io
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from email import message_from_bytes
from fnmatch import fnmatch
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from benchmark.errors import DataError, SettingError
from benchmark.lifetime import run_tied
from benchmark.models.validation import Entry, Items, validate
from benchmark.package_data import package_toml
from benchmark.writing import ensure_folder, replacing

_FILE = "gpu_proof/wheelhouse.toml"

Download = Callable[[Sequence[str], Path], None]


class Repacking(Entry):
    """Which files of a wheel are left out, and which of them is kept nevertheless."""

    drop: str
    keep: str


class Wheelhouse(Entry):
    """What is fetched, for which Python and platforms, and how large it may be."""

    python: str
    limit_bytes: int
    platforms: Items[str]
    packages: Items[str]
    repacked: dict[str, Repacking]


def wheelhouse() -> Wheelhouse:
    """Return the table of wheels."""
    return validate(Wheelhouse, package_toml(_FILE), _FILE)


def gather(
    folder: Path, say: Callable[[str], None], download: Download | None = None
) -> list[Path]:
    """Fetch the wheels into a folder, repack those that are too large, and return their paths.

    Raises:
        DataError: if pip cannot fetch one.
        SettingError: if they are larger than the limit together, or the folder has other wheels.
    """
    table = wheelhouse()
    ensure_folder(folder)
    if any(folder.glob("*.whl")):
        raise SettingError(f"{folder}: has wheels already; name a new folder")
    (download or _pip)(table.packages, folder)
    for name, repacking in table.repacked.items():
        for wheel in folder.glob(f"{name}-*.whl"):
            repack(wheel, repacking)
    wheels = sorted(folder.glob("*.whl"), key=lambda path: -path.stat().st_size)
    check_versions(wheels)
    total = sum(path.stat().st_size for path in wheels)
    say(f"{len(wheels)} wheels, {total / 1e6:.1f} MB of {table.limit_bytes / 1e6:.1f} MB: {folder}")
    if total > table.limit_bytes:
        largest = ", ".join(f"{path.name} ({path.stat().st_size:,})" for path in wheels[:3])
        raise SettingError(f"the wheels have {total:,} bytes, more than the limit; {largest}")
    return wheels


def _pip(packages: Sequence[str], folder: Path) -> None:
    table = wheelhouse()
    platforms = [word for name in table.platforms for word in ("--platform", name)]
    options = ["--no-deps", "--only-binary=:all:", "--python-version", table.python]
    command = [sys.executable, "-m", "pip", "download", "-q", *options, "--implementation", "cp"]
    done = run_tied([*command, *platforms, "-d", str(folder), *packages])
    if done.returncode:
        raise DataError(f"pip cannot fetch the wheels: {done.stderr.strip()[-500:]}")


def check_versions(wheels: Sequence[Path]) -> None:
    """Check that wheels that need each other have versions that fit; pip fetched each alone.

    Raises:
        DataError: naming a wheel and what it needs.
    """
    versions = {_distribution(path)[0]: _distribution(path)[1] for path in wheels}
    for wheel in wheels:
        for need in _needs(wheel):
            version = versions.get(canonicalize_name(need.name))
            if version is not None and not need.specifier.contains(version, prereleases=True):
                raise DataError(f"{wheel.name} needs {need}, but {version} was fetched; pin one")


def _distribution(wheel: Path) -> tuple[str, str]:
    """Return the normalized name and the version of a wheel."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return name, str(version)


def _needs(wheel: Path) -> Iterator[Requirement]:
    """Yield what a wheel needs on that machine, without extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    environment = {"python_version": wheelhouse().python, "extra": ""}
    for text in metadata.get_all("Requires-Dist", []):
        need = Requirement(text)
        if need.marker is None or need.marker.evaluate(environment):
            yield need


def repack(wheel: Path, repacking: Repacking) -> None:
    """Write a wheel again without some of its files.

    Raises:
        DataError: if it lacks the file that is to be kept.
    """
    with zipfile.ZipFile(wheel) as old:
        names = old.namelist()
        if repacking.keep not in names:
            others = [name for name in names if fnmatch(name, repacking.drop)]
            raise DataError(f"{wheel.name}: has no {repacking.keep}; it has {', '.join(others)}")
        dropped = {n for n in names if fnmatch(n, repacking.drop) and n != repacking.keep}
        with (
            replacing(wheel) as path,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for name in names:
                if name in dropped:
                    continue
                if name.endswith(".dist-info/RECORD"):
                    new.writestr(name, _record(old.read(name).decode(), dropped))
                    continue
                with old.open(name) as source, new.open(name, "w") as target:
                    shutil.copyfileobj(source, target)


def _record(text: str, dropped: set[str]) -> str:
    """Return the list of a wheel's files without some of them."""
    rows = [row for row in csv.reader(io.StringIO(text)) if row and row[0] not in dropped]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
