"""The fingerprint of a run: a record of every stage, and of the environment."""

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
"""The number of prompts that are kept in full, as examples."""


@dataclass(frozen=True, slots=True)
class AllowedSet:
    """A set of allowed tokens: its digest, its size, and the sum of its ids.

    If two sets differ by one token, the difference of the sums is its id.
    """

    digest: str
    size: int
    total: int


@dataclass(frozen=True, slots=True)
class Allowed:
    """The tokens allowed along each state's path: the distinct sets, and their indexes.

    ``along`` has an index into ``sets`` per token of the path; -1 after a forbidden token.
    """

    sets: tuple[AllowedSet, ...]
    along: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt that is kept in full, so that a change can be shown."""

    prompt: str
    token_ids: TokenIds


def first_samples(
    texts: Sequence[str] | None, prompts: Sequence[TokenIds] | None
) -> tuple[Sample, ...]:
    """Return the first prompts as text and as tokens, if both stages succeeded."""
    return tuple(map(Sample, (texts or ())[:_SAMPLES], (prompts or ())[:_SAMPLES]))


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """The record of every stage of a run, state by state in the order of the data.

    Attributes:
        environment: versions, hardware, settings, model and data of the run.
        stages: the digests of each stage, by its name.
        path: the answers along which constraint and log-probabilities were recorded.
        output: the generated answers. Both end with EOS unless they were cut off.
        texts: the generated answers as text.
        lengths: the lengths of the prompts in tokens.
        allowed: the allowed tokens along ``path``.
        logits: the log-probabilities along ``path``.
        scores: the outcomes by every score; older records have ``set`` only, records without
            answers none.
        errors: the type of error of every query of each state as one letter; empty in older records
            and without answers.
        samples: the first prompts in full.
        repeats: the repeats that measured the noise floor.
        code: a digest of each file of the project, by its path.
        notices: what a user should know about how the model was read, such as warnings of
            libraries; their words change by release, so they are never compared.
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
    errors: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    code: Mapping[str, str] = field(default_factory=dict)
    notices: Mapping[str, object] = field(default_factory=dict)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes by the main score."""
        return self.scores.get(MAIN, ())

    @property
    def counts(self) -> Mapping[str, Counts]:
        """Correct and total by numops, by every score; the main score is always present."""
        return {MAIN: count(()), **{by: count(scored) for by, scored in self.scores.items()}}

    @property
    def kind(self) -> str:
        """What was recorded: ``fingerprint``, ``vanilla``, ``tokenizers`` or ``grammars``."""
        if "backends" in self.environment.data:
            return "grammars"
        if "families" in self.environment.data:
            return "tokenizers"
        return "vanilla" if self.environment.protocol.get("name") == "vanilla" else "fingerprint"

    @property
    def state_digests(self) -> tuple[str, ...]:
        """The data's digest of each state, by which states of two records are paired."""
        return self.stages["dataset"].digests

    @property
    def states(self) -> int:
        """The number of states; 0 if the data could not be loaded."""
        return len(self.state_digests)
