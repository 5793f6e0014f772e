"""What one tokenizer family makes of some texts and of the constraint, and what moved in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Values = Mapping[str, str]
"""By name: ids in decimal with spaces between them, digests, or single figures."""

STAGES = ("tokenizer", "constraint")


@dataclass(frozen=True, slots=True)
class Family:
    """A tokenizer family in one environment.

    ``tokenizer`` has its vocabulary's size and digest, BOS, EOS, and the ids of each text;
    ``constraint`` the distinct sets of allowed tokens (how many, their sum, their digest) and
    which of them comes where along a correct answer. A stage that raises has one entry, ``failed``.
    """

    name: str
    versions: Values
    tokenizer: Values = field(default_factory=dict)
    constraint: Values = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "family": self.name,
            "versions": dict(self.versions),
            "tokenizer": dict(self.tokenizer),
            "constraint": dict(self.constraint),
        }


def family_from_json(document: Mapping[str, object]) -> Family:
    """The family that ``as_json`` gave."""
    parts = (document.get(name) for name in ("versions", *STAGES))
    values = ({str(k): str(v) for k, v in p.items()} if isinstance(p, dict) else {} for p in parts)
    return Family(str(document.get("family")), *values)


def moved(old: Family, new: Family) -> tuple[str, ...]:
    """The stages that differ, the earliest first."""
    return tuple(stage for stage in STAGES if getattr(old, stage) != getattr(new, stage))


def shift_lines(old: Family, new: Family) -> Iterator[str]:
    """Family and stage, what of it moved with both values, and the libraries that differ."""
    stages = moved(old, new)
    if not stages:
        return
    yield f"{new.name}: it began at {stages[0]}" + (" and reached constraint" * (len(stages) > 1))
    for stage in stages:
        before, after = getattr(old, stage), getattr(new, stage)
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                yield f"  {stage}, {name}: {_apart(before.get(name, '-'), after.get(name, '-'))}"
    libraries = list(_libraries(old.versions, new.versions))
    yield "  libraries: " + (", ".join(libraries) or "the recorded ones are the same")


def _libraries(old: Values, new: Values) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{name} {old.get(name, '-')} -> {new.get(name, '-')}"


def _apart(old: str, new: str, shown: int = 8) -> str:
    """Two rows of words from where they part on, with how many are the same before."""
    before, after = old.split(), new.split()
    same = next(
        (n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]),
        min(len(before), len(after)),
    )
    ends = (" ".join(row[same : same + shown]) or "(ends)" for row in (before, after))
    return (f"after {same} the same, " if same else "") + " -> ".join(ends)
