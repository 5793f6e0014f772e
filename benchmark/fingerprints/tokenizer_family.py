"""The readable record of one tokenizer, for snapshots: ids of texts, and allowed tokens.

A fingerprint keeps digests; this record keeps every id, so that a failed snapshot names the text
and the first id that differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Values = Mapping[str, str]
"""By name: decimal ids separated by spaces, digests, or single numbers."""

TOKENIZER_STAGES = ("tokenizer", "constraint")


@dataclass(frozen=True, slots=True)
class TokenizerRecord:
    """A family's tokenizer in one environment.

    ``tokenizer`` has the vocabulary's size and digest, BOS, EOS, and the ids of each text.
    ``constraint`` has the distinct sets of allowed tokens (size, sum of ids, digest) and their
    numbers along a correct answer. A stage that raises has a single entry, ``failed``.
    """

    family: str
    versions: Values
    tokenizer: Values = field(default_factory=dict)
    constraint: Values = field(default_factory=dict)


def record_from_json(document: Mapping[str, object]) -> TokenizerRecord:
    """Return the record with these fields."""
    parts = (document.get(name) for name in ("versions", *TOKENIZER_STAGES))
    values = ({str(k): str(v) for k, v in p.items()} if isinstance(p, dict) else {} for p in parts)
    return TokenizerRecord(str(document.get("family")), *values)


def changed_stages(old: TokenizerRecord, new: TokenizerRecord) -> tuple[str, ...]:
    """Return the stages that differ, the earliest first."""
    return tuple(stage for stage in TOKENIZER_STAGES if getattr(old, stage) != getattr(new, stage))


def difference_lines(old: TokenizerRecord, new: TokenizerRecord) -> Iterator[str]:
    """Yield the changed stages, the entries that differ, and the libraries that differ."""
    stages = changed_stages(old, new)
    if not stages:
        return
    yield f"{new.family}: changed stages: {', '.join(stages)}"
    for stage in stages:
        before, after = getattr(old, stage), getattr(new, stage)
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                difference = _first_difference(before.get(name, "-"), after.get(name, "-"))
                yield f"  {stage}, {name}: {difference}"
    libraries = list(_libraries(old.versions, new.versions))
    yield "  libraries: " + (", ".join(libraries) or "no recorded version differs")


def _libraries(old: Values, new: Values) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{name} {old.get(name, '-')} -> {new.get(name, '-')}"


def _first_difference(old: str, new: str, shown: int = 8) -> str:
    """Return two lists of words from their first difference on, with the length before it."""
    before, after = old.split(), new.split()
    same = next(
        (n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]),
        min(len(before), len(after)),
    )
    ends = (" ".join(row[same : same + shown]) or "(ends)" for row in (before, after))
    return (f"after {same} equal ids, " if same else "") + " -> ".join(ends)
