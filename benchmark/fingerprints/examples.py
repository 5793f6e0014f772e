"""Examples of states in which a stage changed, old and new side by side."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmark.fingerprints.logits import RESOLUTION, logit_diff
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.scores import outcomes_differ
from benchmark.scoring.outcomes import MAIN

_AROUND = 30
"""The number of characters shown before and after the first difference."""


@dataclass(frozen=True, slots=True)
class Example:
    """A state in which the stage changed: where, and the old and new values."""

    state: int
    where: str
    old: str
    new: str


Show = Callable[[str, Fingerprint, Fingerprint, int, int], Example | None]
"""Returns the example of a stage, given two records and the number of the state in each.

None if the records keep nothing to show.
"""


def side_by_side(state: int, old: str, new: str) -> Example:
    """Return the text around the first difference of two texts."""
    pairs = enumerate(zip(old, new, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = max(0, at - _AROUND)
    return Example(state, f"character {at}", _cut(old, start, at), _cut(new, start, at))


def _cut(text: str, start: int, at: int) -> str:
    before = "..." if start else ""
    after = "..." if len(text) > at + _AROUND else ""
    return before + text[start : at + _AROUND] + after


def digest_example(stage: str, old: Fingerprint, new: Fingerprint, one: int, other: int) -> Example:
    """Return the digests of the state."""
    before, after = old.stages[stage].digests[one], new.stages[stage].digests[other]
    return Example(one, stage, f"digest {before}", f"digest {after}")


def dataset_example(
    stage: str, old: Fingerprint, new: Fingerprint, one: int, other: int
) -> Example:
    """Return the digests of the state, and its old and new number."""
    example = digest_example(stage, old, new, one, other)
    return replace(example, where=f"state {one}, now {other}")


def prompt_example(stage: str, old: Fingerprint, new: Fingerprint, one: int, other: int) -> Example:
    """Return the first difference of the texts if the records keep them, else the digests."""
    if one < len(old.samples) and other < len(new.samples):
        return side_by_side(one, old.samples[one].prompt, new.samples[other].prompt)
    return digest_example(stage, old, new, one, other)


def tokens_example(stage: str, old: Fingerprint, new: Fingerprint, one: int, other: int) -> Example:
    """Return the token ids around the first difference; the digests if no ids are kept."""
    counts = f"{old.lengths[one]} tokens", f"{new.lengths[other]} tokens"
    if one >= len(old.samples) or other >= len(new.samples):
        digests = digest_example(stage, old, new, one, other)
        shown = f"{counts[0]}, {digests.old}", f"{counts[1]}, {digests.new}"
        return Example(one, "prompt", *shown)
    before, after = old.samples[one].token_ids, new.samples[other].token_ids
    pairs = enumerate(zip(before, after, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(before), len(after)))
    ids = [" ".join(map(str, row[max(0, at - 2) : at + 4])) for row in (before, after)]
    return Example(one, f"token {at}", f"{counts[0]}: {ids[0]}", f"{counts[1]}: {ids[1]}")


def logits_example(
    _: str, old: Fingerprint, new: Fingerprint, one: int, other: int
) -> Example | None:
    """Return the recorded tokens at the position where log-probabilities differ most."""
    if old.logits is None or new.logits is None:
        return None
    (ids, before), (other_ids, after) = old.logits.state(one), new.logits.state(other)
    at = logit_diff((ids, before), (other_ids, after)).position
    shown = [
        ", ".join(f"{i}: {s * RESOLUTION:.4f}" for i, s in zip(row_ids[at], row[at], strict=True))
        for row_ids, row in ((ids, before), (other_ids, after))
    ]
    return Example(one, f"answer token {at}, ids with log-probabilities", shown[0], shown[1])


def text_example(_: str, old: Fingerprint, new: Fingerprint, one: int, other: int) -> Example:
    """Return the first difference of the answers' texts."""
    return side_by_side(one, old.texts[one], new.texts[other])


def outcome_example(_: str, old: Fingerprint, new: Fingerprint, one: int, other: int) -> Example:
    """Return the outcomes by the first score that differs."""
    by = next(iter(outcomes_differ(old, new, one, other)), MAIN)
    before, after = old.scores[by][one], new.scores[by][other]
    signs = ["".join("-+"[right] for right in outcome.correct) for outcome in (before, after)]
    counts = ["".join(map(str, outcome.numops)) for outcome in (before, after)]
    shown = [f"{word}, numops {count}" for word, count in zip(signs, counts, strict=True)]
    score = "" if by == MAIN else f", score {by}"
    return Example(one, f"right (+) and wrong (-) by box{score}", *shown)
