"""A stage of the fingerprint: how to record, compare and show it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from benchmark.fingerprints.digests import StageRecord, failure_digest
from benchmark.fingerprints.examples import Example, Show, digest_example
from benchmark.fingerprints.logits import Logits
from benchmark.fingerprints.record import Allowed, Fingerprint
from benchmark.fingerprints.stage_diffs import (
    FindDiff,
    FingerprintPair,
    StageDiff,
    states_diff,
    whole_diff,
)
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import Completion, State, TokenIds
from benchmark.tasks import Task

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel

T = TypeVar("T")


class Recording(Protocol):
    """A run that is being recorded: what the stages are made from.

    ``path`` are the answers that constraint and log-probabilities follow, one per state.
    """

    @property
    def task(self) -> Task:
        """The task of the states."""

    @property
    def states(self) -> Sequence[State]:
        """The states of the data."""

    @property
    def tokenizer(self) -> TransformersTokenizer:
        """The model's tokenizer."""

    @property
    def path(self) -> Sequence[TokenIds]:
        """The answers to follow; empty if there are none."""

    def value(self, stage: "Stage[T]") -> T:
        """Return the value of another stage, which is recorded first if it is not yet.

        Raises:
            MissingStageError: when that stage failed.
        """

    def texts(self) -> list[str]:
        """Return the text of each prompt."""

    def prompts(self) -> list[TokenIds]:
        """Return the token ids of each prompt."""

    def model(self) -> "LanguageModel":
        """Return the model, loaded."""

    def decoded(self) -> list[Completion]:
        """Return the completion of each prompt."""

    def allowed(self) -> Allowed:
        """Return the tokens that the constraint allows along the path."""

    def logits(self) -> Logits:
        """Return the log-probabilities along the path."""


def unit_distance(
    old: Fingerprint,  # noqa: ARG001  # the signature of a stage's distance, here and below
    new: Fingerprint,  # noqa: ARG001
    one: int,  # noqa: ARG001
    other: int,  # noqa: ARG001
) -> float:
    """Return 1, the distance of any two states that differ."""
    return 1.0


@dataclass(frozen=True, kw_only=True)
class StageRow(ABC):
    """A row of the table of stages, without the type of the stage's values.

    Attributes:
        what: what is recorded, in words.
        of_weights: whether it is made from the model's weights, which some engines do not load.
        of_scores: whether it is made of log-probabilities, which some engines do not tell.
        whole: whether there is one digest for all states instead of one per state.
        excusable: whether a difference in states whose answers changed by noise is noise too.
        portable: whether the stage is the same on all hardware.
        decisive: whether a change beyond noise is a regression, if it concerns the main score.
        difference: returns how two records differ; by default by comparing the digests.
        example: returns what to show of a state; by default its digests.
        distance: returns the distance of two states that differ, from 0 to 1.
        reached_by: what can change the stage, in addition to ``suspects.toml``: by kind (library,
            setting or code) and name, with the same numbers from 1 to 3.
    """

    name: str
    what: str
    of_weights: bool = False
    of_scores: bool = False
    whole: bool = False
    excusable: bool = False
    portable: bool = True
    decisive: bool = False
    difference: FindDiff | None = None
    example: Show | None = None
    distance: Callable[[Fingerprint, Fingerprint, int, int], float] = unit_distance
    reached_by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @abstractmethod
    def take(self, run: Recording) -> tuple[object, tuple[str, ...]]:
        """Make the stage's value; return it with its digests."""

    def compare(self, compared: FingerprintPair) -> StageDiff | None:
        """Return how the stage differs between two records that both have it."""
        before, after = compared.old.stages[self.name], compared.new.stages[self.name]
        if before.failed_as_a_whole or after.failed_as_a_whole:
            return _failure_diff(self.name, before, after, len(compared.pairs))
        difference = self.difference or (whole_diff if self.whole else states_diff)
        stage_diff = difference(self.name, compared)
        if before.failed or after.failed:
            return _with_failed_states(self.name, stage_diff, compared)
        excused = stage_diff is not None and self.excusable and self._excused(stage_diff, compared)
        return replace(stage_diff, within=True) if stage_diff and excused else stage_diff

    def show(self, old: Fingerprint, new: Fingerprint, one: int, other: int) -> Example | None:
        """Return an example of a state in which the stage differs, if the records keep one."""
        if self.example is not None:
            return self.example(self.name, old, new, one, other)
        return None if self.whole else digest_example(self.name, old, new, one, other)

    def _excused(self, stage_diff: StageDiff, compared: FingerprintPair) -> bool:
        """Return whether all states that differ have answers that changed by noise."""
        if self.whole:
            return compared.differ_by_noise_alone
        return set(stage_diff.states) <= compared.excused


@dataclass(frozen=True, kw_only=True)
class Stage(StageRow, Generic[T]):
    """A stage whose value is a ``T``.

    Attributes:
        make: makes the value while a run is recorded; what it raises ends the stage.
        digests: returns the value's digests: one per state, or one for all of a ``whole`` stage.
    """

    make: Callable[[Recording], T]
    digests: Callable[[T], Iterable[str]]

    def take(self, run: Recording) -> tuple[T, tuple[str, ...]]:
        """Make the stage's value; return it with its digests."""
        value = self.make(run)
        return value, tuple(self.digests(value))


def _failure_diff(name: str, old: StageRecord, new: StageRecord, count: int) -> StageDiff | None:
    """Return the difference of a stage that fails as a whole in at least one record.

    A stage that fails in both has no difference: texts of errors are not compared.
    """
    if old.failed_as_a_whole and new.failed_as_a_whole:
        return None
    if new.failed_as_a_whole:
        return StageDiff(name, tuple(range(count)), count, new.failed)
    note = f"fixed; it failed with: {old.failed}"
    return StageDiff(name, tuple(range(count)), count, note=note)


def _with_failed_states(
    name: str, stage_diff: StageDiff | None, compared: FingerprintPair
) -> StageDiff | None:
    """Add the states that fail in one of the records to the difference of a stage."""
    old, new = compared.old.stages[name], compared.new.stages[name]
    before, after = compared.digests(name)
    broken, fixed = set[int](), set[int]()
    for one, other in compared.pairs:
        if before[one] != after[other]:
            broken |= {one} if after[other] == failure_digest() else set()
            fixed |= {one} if before[one] == failure_digest() else set()
    states = tuple(sorted({*(stage_diff.states if stage_diff else ()), *broken, *fixed}))
    if not states:
        return None
    fails_now = broken or (new.failed and not old.failed)
    note = f"fixed; it failed with: {old.failed}" if fixed and not fails_now else None
    return StageDiff(name, states, len(compared.pairs), new.failed if fails_now else None, note)
