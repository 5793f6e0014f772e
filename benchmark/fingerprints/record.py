"""One fingerprint of a model's way through the pipeline, with what it was made in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.logits import Logits
from benchmark.fingerprints.noise import Repeat
from benchmark.records import Outcome, TokenIds
from benchmark.runs.environment import Environment
from benchmark.scoring.counts import Counts, count
from benchmark.scoring.outcomes import MAIN

_SAMPLES = 3
"""The number of prompts that are kept as they are, for a person to read."""


@dataclass(frozen=True, slots=True)
class AllowedSet:
    """Which tokens may come: a digest, how many they are, and the sum of their ids.

    Where one token is missing the two sums say which.
    """

    digest: str
    size: int
    total: int


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the constraint allows along each state's path: the sets, and their numbers."""

    sets: tuple[AllowedSet, ...]
    along: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The first prompts as they were, so that a person can see what moved."""

    prompt: str
    token_ids: TokenIds


def first_samples(
    texts: Sequence[str] | None, prompts: Sequence[TokenIds] | None
) -> tuple[Sample, ...]:
    """Return the first prompts as text and as tokens, if both stages made some."""
    return tuple(map(Sample, (texts or ())[:_SAMPLES], (prompts or ())[:_SAMPLES]))


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """What one environment made of each stage, state by state in the order of the data.

    ``path`` is the answer that constraint and log-probabilities were recorded along, ``output``
    the one generated here; both end with the end of the sequence unless they were cut off.
    ``lengths`` are the prompts' in tokens; ``code`` has a digest of each file of the project.
    ``scores`` are the outcomes by every score; an older record has those by ``set`` alone, one
    without answers none.
    """

    environment: Environment
    stages: Mapping[str, StageRecord]
    path: tuple[TokenIds, ...] = ()
    output: tuple[TokenIds, ...] = ()
    texts: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    allowed: Allowed | None = None
    logits: Logits | None = None
    scores: Mapping[str, tuple[Outcome, ...]] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes by the main score."""
        return self.scores.get(MAIN, ())

    @property
    def counts(self) -> Mapping[str, Counts]:
        """Correct and total by numops, by every score; the main one's even if there are none."""
        return {MAIN: count(()), **{by: count(some) for by, some in self.scores.items()}}

    @property
    def kind(self) -> str:
        """The verb that made it: ``fingerprint``, ``vanilla`` or ``tokenizers``."""
        if "families" in self.environment.data:
            return "tokenizers"
        return "vanilla" if self.environment.protocol.get("name") == "vanilla" else "fingerprint"

    @property
    def state_digests(self) -> tuple[str, ...]:
        """The dataset's digest of each state, by which states of two records are paired."""
        return self.stages["dataset"].digests

    @property
    def states(self) -> int:
        """How many states were asked for; 0 where there was no data."""
        return len(self.state_digests)
