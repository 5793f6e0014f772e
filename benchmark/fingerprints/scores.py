"""Outcomes by several scores: their digests, and the scores that two records share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmark.fingerprints.digests import digest
from benchmark.fingerprints.record import Fingerprint
from benchmark.records import Outcome
from benchmark.scoring.counts import Counts
from benchmark.scoring.outcomes import SCORES


def outcome_digests(scores: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    """Return a digest per state of its outcomes by every score.

    With a single score it equals the digest of older records, which had one score only.
    """
    for outcomes in zip(*scores.values(), strict=True):
        first = outcomes[0]
        yield digest([first.sample_id, first.numops, *(outcome.correct for outcome in outcomes)])


def count_digests(counts: Iterable[Counts]) -> Iterator[str]:
    """Return a digest per score of its counts, in the order of the scores."""
    return (digest([by_score]) for by_score in counts)


def common_scores(old: Fingerprint, new: Fingerprint) -> tuple[str, ...]:
    """Return the scores that both records have outcomes by, the main one first."""
    return tuple(by for by in SCORES if old.scores.get(by) and new.scores.get(by))


def uncompared_scores(old: Fingerprint, new: Fingerprint) -> dict[str, str]:
    """Return the scores that only one of two records with outcomes has, and which: old or new."""
    if not (old.scores and new.scores):
        return {}
    single = (by for by in SCORES if (by in old.scores) != (by in new.scores))
    return {by: "old" if by in old.scores else "new" for by in single}


def outcomes_differ(old: Fingerprint, new: Fingerprint, one: int, other: int) -> tuple[str, ...]:
    """Return the scores by which a state's outcome differs."""
    return tuple(
        by
        for by in common_scores(old, new)
        if old.scores[by][one : one + 1] != new.scores[by][other : other + 1]
    )
