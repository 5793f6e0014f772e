"""What was measured of an engine, and what it comes to beside the paper's method."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import median

from benchmark.decoding.common_prefix import common_length
from benchmark.records import TokenIds
from benchmark.speed.messages import LimitTaken, Taken
from benchmark.speed.specs import Spec


@dataclass
class Measurement:
    """All rounds of an engine, over the states at these places; or why there are none."""

    spec: Spec
    places: Sequence[int]
    rounds: list[Taken] = field(default_factory=list)
    failure: str | None = None
    tried: dict[int, float] = field(default_factory=dict)
    """Seconds a state by batch size, where the best was looked for."""

    @property
    def stood_in(self) -> str | None:
        """Which engine did its work, and why; None where it did that itself."""
        return next((taken["stood_in"] for taken in self.rounds if "stood_in" in taken), None)

    @property
    def answers(self) -> dict[int, list[int]]:
        """The first round's answers, by the places of their states."""
        return dict(zip(self.places, self.rounds[0]["answers"], strict=True)) if self.rounds else {}

    @property
    def seconds(self) -> list[float]:
        """Seconds a state, of each round."""
        return [taken["seconds"] / len(self.places) for taken in self.rounds]


@dataclass(frozen=True, slots=True)
class Figures:
    """An engine's row; None for what it does not tell, or what there is nothing to compare with.

    Attributes:
        spec: the engine.
        states: how many were measured in each round.
        rounds: how many rounds.
        seconds: a state, the median of the rounds.
        spread: the slowest round less the quickest, in parts of the median.
        processor: seconds of processor time a state, the median of the rounds.
        passes: forward passes a state.
        tokens: tokens computed a state, padding included.
        peak_memory: the largest resident memory while decoding, in bytes.
        gpu_memory: the most that it held on a GPU, in bytes; None where it ran on none.
        times: the paper's seconds a state in parts of this engine's.
        same: how many answers are those of the paper's method.
        compared: of how many that both gave.
        repeatable: whether all rounds gave the same answers.
        to_limit: its seconds in parts of the arithmetic limit.
        roofline: seconds a state that its passes and tokens take by the formula of ``plan``.
        failure: why it was not measured.
        stood_in: which engine did its work, and why.
    """

    spec: Spec
    states: int
    rounds: int
    seconds: float | None = None
    spread: float | None = None
    processor: float | None = None
    passes: float | None = None
    tokens: float | None = None
    peak_memory: int | None = None
    gpu_memory: int | None = None
    times: float | None = None
    same: int | None = None
    compared: int | None = None
    repeatable: bool | None = None
    to_limit: float | None = None
    roofline: float | None = None
    failure: str | None = None
    stood_in: str | None = None

    def as_json(self) -> dict[str, object]:
        """The row with all of its digits; its engine by label, name, dtype and batch size."""
        spec = self.spec
        numbers = {name: value for name, value in asdict(self).items() if name != "spec"}
        engine = {"label": spec.label, "name": spec.name, "batch_size": spec.batch_size}
        return {**engine, "dtype": None if spec.traits.own_numbers else spec.dtype, **numbers}


def figures(
    measured: Measurement, paper: Measurement | None, limit: "Limit | None" = None
) -> Figures:
    """What an engine's rounds come to, beside the paper's method and the arithmetic limit."""
    spec, count, rounds = measured.spec, len(measured.places), measured.rounds
    if not rounds:
        return Figures(
            spec,
            count,
            0,
            failure=measured.failure or f"{spec.label}: stopped before its first round",
        )
    seconds = median(measured.seconds)
    both = measured.answers.keys() & paper.answers.keys() if paper else set()
    same = sum(measured.answers[i] == paper.answers[i] for i in both) if paper else 0
    passes = _mean([taken["passes"] for taken in rounds], count)
    tokens = _mean([taken["tokens"] for taken in rounds], count)
    return Figures(
        spec=spec,
        states=count,
        rounds=len(rounds),
        seconds=seconds,
        spread=(max(measured.seconds) - min(measured.seconds)) / seconds,
        processor=median(taken["processor"] for taken in rounds) / count,
        passes=passes,
        tokens=tokens,
        peak_memory=max(taken.get("peak_memory", 0) for taken in rounds),
        gpu_memory=max(taken.get("gpu_memory", 0) for taken in rounds) or None,
        times=median(paper.seconds) / seconds if paper and paper.rounds else None,
        same=same if both else None,
        compared=len(both) or None,
        repeatable=all(taken["answers"] == rounds[0]["answers"] for taken in rounds),
        to_limit=seconds / limit.seconds if limit else None,
        roofline=limit.roofline(passes, tokens) if limit and passes and tokens else None,
        failure=measured.failure,
        stood_in=measured.stood_in,
    )


def baseline(measured: Iterable[Measurement]) -> Measurement | None:
    """The paper's method among what was measured, in float32 if it is there in several dtypes."""
    papers = [one for one in measured if one.spec.is_paper and one.rounds]
    exact = [one for one in papers if one.spec.dtype == "float32"]
    return next(iter([*exact, *papers]), None)


@dataclass(frozen=True, slots=True)
class Limit:
    """The arithmetic limit of a dtype, and what it is made of.

    Attributes:
        layers: seconds of the layers' products a token, the median of the rounds.
        head: seconds of the head's product a choice, the median of the rounds.
        tokens: of prompts and answers a state, what several prompts begin with counted once and
            what all begin with not at all.
        choices: at which several tokens are allowed, a state.
        reading: seconds of reading the layers' weights once, the median of the rounds.
    """

    layers: float
    head: float
    tokens: float
    choices: float
    reading: float

    @property
    def seconds(self) -> float:
        """Seconds a state."""
        return self.layers * self.tokens + self.head * self.choices

    def roofline(self, passes: float, tokens: float) -> float:
        """Seconds a state in so many passes over so many tokens, as ``plan`` reckons on a GPU.

        A pass reads all weights or multiplies all its tokens, whichever takes longer.
        """
        return passes * max(self.reading, self.layers * tokens / passes) + self.head * self.choices


def arithmetic_limit(
    rounds: Sequence[LimitTaken], prompts: Sequence[TokenIds], answers: Sequence[Sequence[int]]
) -> Limit:
    """The limit for these prompts; answers may be those to a part of them."""
    suffixes = distinct_tokens(prompts) / len(prompts)
    return Limit(
        layers=median(taken["layers"] for taken in rounds),
        head=median(taken["head"] for taken in rounds),
        tokens=suffixes + sum(map(len, answers)) / len(answers),
        choices=rounds[-1]["choices"],
        reading=median(taken["reading"] for taken in rounds),
    )


def distinct_tokens(prompts: Iterable[TokenIds]) -> int:
    """How many tokens are computed, where whatever two prompts begin with is computed once.

    What all prompts begin with is not counted.
    """
    ordered = sorted(set(prompts))
    if not ordered:
        return 0
    shared = sum(common_length(one, other) for one, other in pairwise(ordered))
    # In sorted order whatever the first and the last share, all between them share.
    return sum(map(len, ordered)) - shared - common_length(ordered[0], ordered[-1])


def _mean(counts: Sequence[int | None], states: int) -> float | None:
    known = [count for count in counts if count is not None]
    return sum(known) / len(known) / states if known else None
