"""Three examples of a stage that moved, old and new side by side."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmark.regression.alignment import Alignment
from benchmark.regression.logits import RESOLUTION, shift
from benchmark.regression.movements import Movement, first_other_set
from benchmark.regression.record import AllowedSet, Record
from benchmark.regression.scores import outcomes_differ
from benchmark.scoring.outcomes import MAIN

EXAMPLES = 3

_AROUND = 30
"""Characters shown before the first that differs, and after it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A state in which the stage moved: where, and what old and new have there."""

    state: int
    where: str
    old: str
    new: str

    def as_json(self) -> dict[str, object]:
        """By name."""
        return asdict(self)


Show = Callable[[Record, Record, int, int], Example | None]


def examples(
    old: Record, new: Record, alignment: Alignment, movement: Movement | None
) -> tuple[Example, ...]:
    """The first states in which the stage moved, as far as the records keep what moved."""
    if movement is None or movement.failed or movement.stage not in _SHOW:
        return ()
    if old.stages[movement.stage].failed:  # it works again; there is nothing to hold it against
        return ()
    show, pair = _SHOW[movement.stage], dict(alignment.pairs)
    known = (show(old, new, a, pair[a]) for a in movement.states if a in pair)
    found = [example for example in known if example]
    return tuple(found[:EXAMPLES])


def side_by_side(state: int, old: str, new: str, unit: str = "character") -> Example:
    """The surroundings of the first difference of two texts."""
    pairs = enumerate(zip(old, new, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = max(0, at - _AROUND)
    return Example(state, f"{unit} {at}", _cut(old, start, at), _cut(new, start, at))


def _cut(text: str, start: int, at: int) -> str:
    before = "..." if start else ""
    after = "..." if len(text) > at + _AROUND else ""
    return before + text[start : at + _AROUND] + after


def _dataset(old: Record, new: Record, one: int, other: int) -> Example:
    before, after = (r.stages["dataset"].digests[n] for r, n in ((old, one), (new, other)))
    return Example(one, f"state {one}, now {other}", f"digest {before}", f"digest {after}")


def _prompt(old: Record, new: Record, one: int, other: int) -> Example:
    if one < len(old.samples) and other < len(new.samples):
        return side_by_side(one, old.samples[one].prompt, new.samples[other].prompt)
    before, after = (r.stages["prompt"].digests[n] for r, n in ((old, one), (new, other)))
    return Example(one, "prompt", f"digest {before}", f"digest {after}")


def _tokens(old: Record, new: Record, one: int, other: int) -> Example:
    counts = f"{old.lengths[one]} tokens", f"{new.lengths[other]} tokens"
    if one >= len(old.samples) or other >= len(new.samples):
        # The ids of the first prompts alone are kept; of the others what tells two apart.
        prints = (r.stages["tokens"].digests[n] for r, n in ((old, one), (new, other)))
        said = [f"{count}, digest {each}" for count, each in zip(counts, prints, strict=True)]
        return Example(one, "prompt", *said)
    before, after = old.samples[one].token_ids, new.samples[other].token_ids
    pairs = enumerate(zip(before, after, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(before), len(after)))
    ids = [" ".join(map(str, each[max(0, at - 2) : at + 4])) for each in (before, after)]
    return Example(one, f"token {at}", f"{counts[0]}: {ids[0]}", f"{counts[1]}: {ids[1]}")


def _constraint(old: Record, new: Record, one: int, other: int) -> Example | None:
    at = first_other_set(old, new, one, other)
    if at is None:
        return None
    before, after = _set(old, one, at), _set(new, other, at)
    words = _missing(before, after) if before and after else ""
    return Example(one, f"answer token {at}", _allows(old, before), _allows(new, after) + words)


def _set(record: Record, state: int, position: int) -> AllowedSet | None:
    """What is allowed there; None where there is no constraint, or the path is forbidden."""
    allowed = record.allowed
    numbers = allowed.along[state] if allowed else ()
    if allowed is None or position >= len(numbers) or numbers[position] < 0:
        return None
    return allowed.sets[numbers[position]]


def _allows(record: Record, allowed: AllowedSet | None) -> str:
    if allowed:
        return f"{allowed.size} tokens allowed"
    constrained = record.allowed is not None and record.allowed.sets
    return "the recorded answer is forbidden" if constrained else "no constraint"


def _missing(old: AllowedSet, new: AllowedSet) -> str:
    """Which token it is, where there is one more or one fewer; the sums of ids tell."""
    apart, by = new.size - old.size, new.total - old.total
    if abs(apart) != 1:
        return ""
    return f" (id {abs(by)} {'more' if apart > 0 else 'fewer'})"


def _logits(old: Record, new: Record, one: int, other: int) -> Example | None:
    if old.logits is None or new.logits is None:
        return None
    (ids, before), (other_ids, after) = old.logits.state(one), new.logits.state(other)
    at = shift((ids, before), (other_ids, after)).position
    shown = [
        ", ".join(f"{i}: {s * RESOLUTION:.4f}" for i, s in zip(row_ids[at], row[at], strict=True))
        for row_ids, row in ((ids, before), (other_ids, after))
    ]
    return Example(one, f"answer token {at}, ids with log-probabilities", shown[0], shown[1])


def _text(old: Record, new: Record, one: int, other: int) -> Example:
    return side_by_side(one, old.texts[one], new.texts[other])


def _outcome(old: Record, new: Record, one: int, other: int) -> Example:
    by = next(iter(outcomes_differ(old, new, one, other)), MAIN)
    before, after = old.scores[by][one], new.scores[by][other]
    words = ["".join("-+"[right] for right in each.correct) for each in (before, after)]
    counts = ["".join(map(str, each.numops)) for each in (before, after)]
    shown = [f"{word}, numops {count}" for word, count in zip(words, counts, strict=True)]
    score = "" if by == MAIN else f", score {by}"
    return Example(one, f"right (+) and wrong (-) by box{score}", *shown)


_SHOW: dict[str, Show] = {
    "dataset": _dataset,
    "prompt": _prompt,
    "tokens": _tokens,
    "constraint": _constraint,
    "logits": _logits,
    "output": _text,
    "answer": _text,
    "outcome": _outcome,
}
