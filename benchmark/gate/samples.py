"""The scored samples of an evaluation log of any harness."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.errors import DataError
from benchmark.stats.gate import LARGEST


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of a task with its scores.

    Attributes:
        identity: digest of what makes it the same sample in another log: input and target.
        metrics: finite scores by name.
        prompt: digest of what the model was given; empty if the log does not have it.
        cluster: the group that the sample belongs to; None for a group of its own.
        number: the sample's own number in the log, which tells duplicates apart; empty if none.
    """

    identity: str
    metrics: Mapping[str, float]
    prompt: str = ""
    cluster: str | None = None
    number: str = ""


@dataclass(frozen=True, slots=True)
class TaskLog:
    """The samples of one task in one log.

    Attributes:
        samples: in the order of the log.
        higher_is_better: by name of a metric, as far as the log says it.
        failed: samples without a score, because of an error or a limit.
        unfinished: why the log does not have all samples; empty if it says no such thing.
        model: the model's name as the log has it; empty if it has none.
    """

    samples: Sequence[Sample]
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    failed: int = 0
    unfinished: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """An evaluation log: its kind, such as ``lm-evaluation-harness``, and its tasks by name."""

    kind: str
    tasks: Mapping[str, TaskLog] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models, sorted; none if the log does not say."""
        return tuple(sorted({task.model for task in self.tasks.values() if task.model}))


def digest(*values: object) -> str:
    """Return a short digest of JSON values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def score(value: object) -> float | None:
    """Return a number up to 1e100 or a boolean as a score; None for anything else."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float
        return None
    return number if abs(number) <= LARGEST else None


def scores(values: Mapping[str, object]) -> dict[str, float]:
    """Return those of the values that are scores."""
    return {name: number for name, value in values.items() if (number := score(value)) is not None}


def field_text(place: object, path: str) -> str | None:
    """Return the value of a field, ``path`` with dots for fields of fields; None if it has none."""
    value = place
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return None if value is None else digest(value)


def cluster_of(places: Sequence[object], name: str | None, where: str) -> str | None:
    """Return the cluster of a sample: the value of a field in the first place that has it.

    Raises:
        DataError: if a field is named and no place has it.
    """
    if name is None:
        return None
    texts = (field_text(place, name) for place in places)
    if text := next(filter(None, texts), None):
        return text
    raise DataError(f"{where}: the sample has no field {name!r}; name another with --cluster")
