"""Which difference between two environments can have moved a stage, the likeliest first."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from benchmark.fingerprints.migration import current_path
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stage import StageRow
from benchmark.fingerprints.stages import STAGES
from benchmark.runs.suspect_table import table

RAISED = 4


@dataclass(frozen=True, slots=True)
class Suspect:
    """A difference between two environments.

    ``kind`` is library, setting or code; ``reach`` how directly it acts on the stage, 3 to 0, and
    4 where the stage's error came out of its own code.
    A file that ``changed`` nothing is named only where nothing else reaches the stage.
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

    def as_json(self) -> dict[str, object]:
        """By name."""
        return asdict(self)


def suspects(old: Fingerprint, new: Fingerprint, stage: str | None) -> tuple[Suspect, ...]:
    """Every difference of the environments, those that reach the stage most directly first.

    Where none reaches it, the project's own files that make the stage follow as unchanged: what
    moved it is not in the record (a patched library, a damaged file, the machine itself).
    """
    before, after = _entries(old), _entries(new)
    names = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    failure = (new.stages[stage].failed or "") if stage else ""
    found = [
        Suspect(*name, before.get(name), after.get(name), _reach(*name, stage, failure))
        for name in names
    ]
    order = {kind: place for place, kind in enumerate(("setting", "library", "code"))}
    found.sort(key=lambda each: (-each.reach, order[each.kind], each.name))
    if stage and not any(each.reach for each in found):
        found += _makers(stage)
    return tuple(found)


def _entries(record: Fingerprint) -> dict[tuple[str, str], str]:
    flat = record.environment.flat().items()
    entries = {
        ("library", name.removeprefix("versions."))
        if name.startswith("versions.")
        else ("setting", name): value
        for name, value in flat
    }
    known = (*table()["code"], *(name for row in STAGES.values() for name in _own(row, "code")))
    now = {current_path(name): digest for name, digest in record.code.items()}
    # What no stage is made by, such as a report, is no suspect.
    code = {("code", name): digest for name, digest in now.items() if name.startswith(known)}
    return entries | code


def _makers(stage: str) -> list[Suspect]:
    """Return the files that make a stage, by the tables alone, the most direct first."""
    reaches = {name: reach.get(stage, 0) for name, reach in table()["code"].items()}
    reaches |= _own(STAGES[stage], "code")
    makers = (
        Suspect("code", name, None, None, reach) for name, reach in reaches.items() if reach > 1
    )
    return sorted(makers, key=lambda each: -each.reach)


def _reach(kind: str, name: str, stage: str | None, failure: str) -> int:
    if stage is None:
        return 0
    if kind == "library" and f"({name}/" in failure:
        return RAISED
    if kind == "setting" and name.startswith("variables."):
        name = "variables"
    listed = {each: reach.get(stage, 0) for each, reach in table()[kind].items()}
    own = _own(STAGES[stage], kind)
    return max(_looked_up(kind, name, listed), _looked_up(kind, name, own))


def _looked_up(kind: str, name: str, reaches: Mapping[str, int]) -> int:
    """Return the reach of a name; of a file, that of the longest beginning of its path."""
    if kind != "code":
        return reaches.get(name, 0)
    beginnings = [beginning for beginning in reaches if name.startswith(beginning)]
    return reaches[max(beginnings, key=len)] if beginnings else 0


def _own(row: StageRow, kind: str) -> Mapping[str, int]:
    """Return what reaches a stage by its own row."""
    return row.reached_by.get(kind, {})
