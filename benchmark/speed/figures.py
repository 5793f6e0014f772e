"""Measurements of an engine, and its figures compared with the paper's method."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import median

from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.decoding.external.messages import DecodeReply, LimitReply
from benchmark.records import TokenIds
from benchmark.speed.specs import EngineSpec


@dataclass
class Measurement:
    """All rounds of an engine over some of the states, or the reason why it was not measured.

    Attributes:
        state_indices: the states measured in each round.
        failure: why it was not measured, or not any more.
        seconds_by_batch_size: seconds per state, if the best batch size was searched for.
    """

    spec: EngineSpec
    state_indices: Sequence[int]
    rounds: list[DecodeReply] = field(default_factory=list)
    failure: str | None = None
    seconds_by_batch_size: dict[int, float] = field(default_factory=dict)

    @property
    def stood_in(self) -> str | None:
        """What differs from the request, such as another engine, and why; otherwise None."""
        return next((reply["stood_in"] for reply in self.rounds if "stood_in" in reply), None)

    @property
    def library_warnings(self) -> list[str]:
        """The warnings of libraries while the engine loaded the weights."""
        kept = (reply["library_warnings"] for reply in self.rounds if "library_warnings" in reply)
        return next(kept, [])

    @property
    def answers(self) -> dict[int, list[int]]:
        """The first round's answers by state index."""
        return (
            dict(zip(self.state_indices, self.rounds[0]["answers"], strict=True))
            if self.rounds
            else {}
        )

    @property
    def seconds(self) -> list[float]:
        """Seconds per state in each round."""
        return [reply["seconds"] / len(self.state_indices) for reply in self.rounds]


@dataclass(frozen=True, slots=True)
class Figures:
    """An engine's row; None for what it does not report or what cannot be compared.

    Attributes:
        spec: the engine.
        states: the number of states measured in each round.
        seconds: seconds per state, the median of the rounds.
        spread: the slowest round minus the fastest, as a fraction of the median.
        processor: seconds of processor time per state, the median of the rounds.
        passes: forward passes per state.
        tokens: tokens computed per state, padding included.
        peak_memory: the largest resident memory while decoding, in bytes.
        gpu_memory: peak GPU memory in bytes; None if it did not run on a GPU.
        times: the seconds per state of the paper's method divided by this engine's.
        same: how many answers equal those of the paper's method.
        compared: the number of states that both answered.
        repeatable: whether all rounds have the same answers.
        to_limit: its seconds divided by the arithmetic limit.
        roofline: seconds per state for its passes and tokens by the formula of ``plan``.
        failure: why it was not measured.
        stood_in: what differs from the request, such as another engine, and why.
        products: the matrix-product backend that it used, if it says.
        kernels: what compiled the kernels that it used, if it used any.
    """

    spec: EngineSpec
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
    products: str | None = None
    kernels: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the row unrounded, with the engine's label, name, dtype and batch size."""
        spec = self.spec
        numbers = {name: value for name, value in asdict(self).items() if name != "spec"}
        engine = {"label": spec.label, "name": spec.name, "batch_size": spec.batch_size}
        return {**engine, "dtype": None if spec.traits.own_numbers else spec.dtype, **numbers}


def figures(
    measured: Measurement, paper: Measurement | None, limit: "ArithmeticLimit | None" = None
) -> Figures:
    """Return an engine's row, compared with the paper's method and the arithmetic limit."""
    spec, count, rounds = measured.spec, len(measured.state_indices), measured.rounds
    if not rounds:
        return Figures(
            spec,
            count,
            0,
            failure=measured.failure or f"{spec.label}: stopped before its first round",
        )
    seconds = median(measured.seconds)
    here = not spec.traits.elsewhere
    both = measured.answers.keys() & paper.answers.keys() if paper else set()
    same = sum(measured.answers[i] == paper.answers[i] for i in both) if paper else 0
    passes = _mean([reply["passes"] for reply in rounds], count)
    tokens = _mean([reply["tokens"] for reply in rounds], count)
    return Figures(
        spec=spec,
        states=count,
        rounds=len(rounds),
        seconds=seconds,
        spread=(max(measured.seconds) - min(measured.seconds)) / seconds,
        processor=median(reply["processor"] for reply in rounds) / count if here else None,
        passes=passes,
        tokens=tokens,
        peak_memory=max(reply.get("peak_memory", 0) for reply in rounds) if here else None,
        gpu_memory=max(reply.get("gpu_memory", 0) for reply in rounds) or None,
        times=median(paper.seconds) / seconds if paper and paper.rounds else None,
        same=same if both else None,
        compared=len(both) or None,
        repeatable=all(reply["answers"] == rounds[0]["answers"] for reply in rounds),
        to_limit=seconds / limit.seconds if limit and here else None,
        roofline=limit.roofline(passes, tokens) if limit and passes and tokens else None,
        failure=measured.failure,
        stood_in=measured.stood_in,
        products=next((reply["products"] for reply in rounds if "products" in reply), None),
        kernels=next((reply["kernels"] for reply in rounds if "kernels" in reply), None),
    )


def paper_measurement(measured: Iterable[Measurement]) -> Measurement | None:
    """Return the measurement of the paper's method, in float32 if measured in several dtypes."""
    papers = [one for one in measured if one.spec.is_paper and one.rounds]
    exact = [one for one in papers if one.spec.dtype == "float32"]
    return next(iter([*exact, *papers]), None)


@dataclass(frozen=True, slots=True)
class ArithmeticLimit:
    """The arithmetic limit of a dtype, and its parts.

    Attributes:
        layers: seconds of the layers' products per token, the median of the rounds.
        attention: seconds of attention's products per token, the mean over the tokens, if they are
            as fast as the fastest of all products that were timed.
        head: seconds of the head's product per choice, the median of the rounds.
        tokens: tokens of prompts and answers per state. Prefixes that several prompts share count
            once, the prefix that all share does not count.
        choices: positions per state at which several tokens are allowed.
        reading: seconds of reading the layers' weights once, the median of the rounds.
        states: the number of states that ``tokens`` is a mean of.
        products: the names of the matrix-product backends that were timed; the fastest counts.
        disturbed: whether other programs disturbed the timing of layers and head in any round.
    """

    layers: float
    attention: float
    head: float
    tokens: float
    choices: float
    reading: float
    states: int
    products: tuple[str, ...] = ()
    disturbed: bool = False

    @property
    def seconds(self) -> float:
        """Seconds per state."""
        return (self.layers + self.attention) * self.tokens + self.head * self.choices

    def roofline(self, passes: float, tokens: float) -> float:
        """Return the seconds per state for these passes and tokens, by the formula of ``plan``.

        A pass takes the longer of reading all weights and multiplying all its tokens, whose
        attention is that of the limit's.
        """
        multiplying = (self.layers + self.attention) * tokens / passes
        return passes * max(self.reading, multiplying) + self.head * self.choices


def arithmetic_limit(
    rounds: Sequence[LimitReply], prompts: Sequence[TokenIds], answers: Mapping[int, Sequence[int]]
) -> ArithmeticLimit:
    """Return the limit for these prompts.

    ``answers`` are those to some of them, at least one, by their index in ``prompts``.
    """
    answered = [range(len(prompts[i]), len(prompts[i]) + len(own)) for i, own in answers.items()]
    # The positions of tokens, and of how many states they are.
    parts = (distinct_spans(prompts), len(prompts)), (answered, len(answers))
    tokens = sum(sum(map(len, spans)) / states for spans, states in parts)
    windows = {window for reply in rounds for window, _ in reply["attention"]}
    seen = {
        window: sum(keys_seen(spans, window) / states for spans, states in parts)
        for window in windows
    }
    attention = median(
        sum(seconds * seen[window] for window, seconds in reply["attention"]) for reply in rounds
    )
    return ArithmeticLimit(
        layers=median(reply["layers"] for reply in rounds),
        attention=attention / tokens if tokens else 0.0,
        head=median(reply["head"] for reply in rounds),
        tokens=tokens,
        choices=rounds[-1]["choices"],
        reading=median(reply["reading"] for reply in rounds),
        states=len(prompts),
        products=tuple(rounds[-1].get("products", ())),
        disturbed=any(reply.get("disturbed", False) for reply in rounds),
    )


_CLEARLY_BELOW = 0.98
"""An engine that takes less than this share of the limit shows that it is wrong.

Limit and engine are medians of few rounds, which differ by one or two per cent in the same program.
"""


def limit_error(dtype: str, limit: ArithmeticLimit, rows: Iterable[Figures]) -> str | None:
    """Return what is wrong with the limit of a dtype if an engine was faster; otherwise None."""
    # An engine with numbers of its own computes something else. One that had a sample of the states
    # had other prompts and answers than those that the limit counts.
    rows = (row for row in rows if row.spec.dtype == dtype and row.spec.traits.has_limit)
    all_states = (row for row in rows if row.states == limit.states)
    below = [
        (row.spec.label, 100 * row.to_limit)
        for row in all_states
        if row.to_limit is not None and row.to_limit < _CLEARLY_BELOW
    ]
    if not below:
        return None
    shares = ", ".join(f"{label} took only {share:.0f} % of it" for label, share in below)
    return (
        f"The limit in {dtype} is wrong, too high: {shares}. Either an engine has faster matrix "
        "products than all that were timed, or other programs disturbed their timing."
    )


def distinct_spans(prompts: Iterable[TokenIds]) -> list[range]:
    """Return the positions of the tokens that are computed if shared prefixes are computed once.

    The prefix that all prompts share is not counted. For the prompts 1 2 3, 1 2 4 and 1 5 the spans
    are 1 to 2 (2 and 3), 2 (4) and 1 (5).
    """
    ordered = sorted(set(prompts))
    if not ordered:
        return []
    # In sorted order, all prompts share what the first and the last share.
    first = range(common_prefix_length(ordered[0], ordered[-1]), len(ordered[0]))
    others = (
        range(common_prefix_length(one, other), len(other)) for one, other in pairwise(ordered)
    )
    return [first, *others]


def keys_seen(spans: Iterable[range], window: int | None) -> int:
    """Return how many keys the tokens at these positions see, themselves included."""
    seen = (position + 1 for span in spans for position in span)
    return sum(min(number, window or number) for number in seen)


def _mean(counts: Sequence[int | None], states: int) -> float | None:
    reported = [count for count in counts if count is not None]
    return sum(reported) / len(reported) / states if reported else None
