"""Rank the differences between two environments as causes of a changed stage."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.fingerprints.migration import current_path
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stage import StageRow
from benchmark.fingerprints.stages import STAGES
from benchmark.models.digests import is_comparable
from benchmark.runs.suspect_table import table

_ENGINE_VERSIONS = "engine.versions."
ENGINE_SUFFIX = " (engine)"
"""Follows the name of a library that is installed where an engine elsewhere runs."""

RAISED_ERROR = 4
"""The reach of a library whose own code raised the stage's error."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A difference between two environments.

    ``kind`` is library, setting or code. ``reach`` is how directly it affects the stage, from 3 to
    0, or :data:`RAISED_ERROR`. Unchanged files are listed only if no difference reaches the stage.
    """

    kind: str
    name: str
    old: str | None
    new: str | None
    reach: int

    @property
    def changed(self) -> bool:
        """Whether old and new differ."""
        return self.old != self.new


def suspects(old: Fingerprint, new: Fingerprint, stage: str | None) -> tuple[Suspect, ...]:
    """Return all differences of the environments, those with the most direct reach first.

    If no difference reaches the stage, the project's files that make it follow, as unchanged: the
    cause is something that is not recorded (a patched library, a damaged file, the machine).
    """
    before, after = _entries(old), _entries(new)
    names = sorted(
        name
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) and is_comparable(before.get(name), after.get(name))
    )
    failure = (new.stages[stage].failed or "") if stage else ""
    ranked = [
        Suspect(*name, before.get(name), after.get(name), _reach(*name, stage, failure))
        for name in names
    ]
    order = ("setting", "library", "code")
    ranked.sort(key=lambda suspect: (-suspect.reach, order.index(suspect.kind), suspect.name))
    if stage and not any(suspect.reach for suspect in ranked):
        ranked += _unchanged_files(stage)
    return tuple(ranked)


def _entries(record: Fingerprint) -> dict[tuple[str, str], str]:
    entries = {_entry(name): value for name, value in record.environment.flat().items()}
    listed = (*table()["code"], *(name for row in STAGES.values() for name in _own(row, "code")))
    current = {current_path(name): digest for name, digest in record.code.items()}
    # Files that make no stage, such as those of a report, are left out.
    code = {("code", name): digest for name, digest in current.items() if name.startswith(listed)}
    return entries | code


def _entry(name: str) -> tuple[str, str]:
    """Return kind and name of an entry of an environment."""
    if name.startswith(_ENGINE_VERSIONS):
        return "library", name.removeprefix(_ENGINE_VERSIONS) + ENGINE_SUFFIX
    if name.startswith("versions."):
        return "library", name.removeprefix("versions.")
    return "setting", name


def _unchanged_files(stage: str) -> list[Suspect]:
    """Return the files that make a stage, according to the tables, the most direct first."""
    reaches = {name: reach.get(stage, 0) for name, reach in table()["code"].items()}
    reaches |= _own(STAGES[stage], "code")
    makers = (
        Suspect("code", name, None, None, reach) for name, reach in reaches.items() if reach > 1
    )
    return sorted(makers, key=lambda suspect: -suspect.reach)


def _reach(kind: str, name: str, stage: str | None, failure: str) -> int:
    if stage is None:
        return 0
    if kind == "library" and f"({name}/" in failure:
        return RAISED_ERROR
    if kind == "setting" and name.startswith("variables."):
        name = "variables"
    if kind == "setting" and name.startswith("engine.") and name not in table()[kind]:
        name = "engine"
    if kind == "library" and name.endswith(ENGINE_SUFFIX):
        name = name.removesuffix(ENGINE_SUFFIX)
        return table()["engine"].get(name, {}).get(stage, 0)
    listed = {entry: reach.get(stage, 0) for entry, reach in table()[kind].items()}
    own = _own(STAGES[stage], kind)
    return max(_looked_up(kind, name, listed), _looked_up(kind, name, own))


def _looked_up(kind: str, name: str, reaches: Mapping[str, int]) -> int:
    """Return the reach of a name; a file has that of the longest prefix of its path."""
    if kind != "code":
        return reaches.get(name, 0)
    prefixes = [prefix for prefix in reaches if name.startswith(prefix)]
    return reaches[max(prefixes, key=len)] if prefixes else 0


def _own(row: StageRow, kind: str) -> Mapping[str, int]:
    """Return the reaches that a stage's own row lists."""
    return row.reached_by.get(kind, {})
