"""The dataset as a folder that Hugging Face's ``datasets`` loads, with a card and Croissant."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from benchmark import __version__
from benchmark.boxes.splits import SHARES
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.errors import SettingError
from benchmark.export.croissant import croissant
from benchmark.export.parquet import write_dataset
from benchmark.records import State
from benchmark.runs.data import load_states
from benchmark.runs.requests import DataRequest
from benchmark.tasks import DEFAULT, Task, task_named
from benchmark.writing import write_text


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """Which data: of a file, or a split generated from a seed, whole or its evaluated subset."""

    path: Path | None = None
    password: str | None = None
    split: str = "test"
    seed: int | None = None
    subsampled: bool = False
    task: str = DEFAULT

    def describe(self) -> str:
        """Where the data is from, in words; a file by its name, not its path."""
        if self.path:
            return f"read from {self.path.name}"
        kind = "the evaluated subset of the" if self.subsampled else "the whole"
        task = "" if self.task == DEFAULT else f" of the task {self.task}"
        return f"{kind} {self.split} split{task}, generated from seed {self.seed or 0}"


def write_folder(request: SourceRequest, out: Path) -> int:
    """Write SPLIT.jsonl, SPLIT.parquet, README.md and croissant.json; how many rows there are.

    The JSON lines are those of ``generate``, and Parquet has the same rows.

    Raises:
        SettingError: for a split that does not exist, and options that do not go together.
        DataError: when the data cannot be read.
        MissingLibraryError: without pyarrow.
    """
    lines_file, parquet_file = (out / f"{request.split}.{form}" for form in ("jsonl", "parquet"))
    _check(request)
    source, task = _source(request), task_named(request.task)

    def lines() -> Iterator[str]:
        return (line for state in source() for line in task.rows(state))

    # Parquet first: where its library is missing nothing is left behind.
    written = write_dataset(parquet_file, map(json.loads, lines()))
    write_text(lines_file, (f"{line}\n" for line in lines()))
    described = request.describe()
    write_text(out / "README.md", [_card(task, request.split, described, written)])
    hashes = {path.name: _sha256(path) for path in (lines_file, parquet_file)}
    metadata = croissant(request.split, described, hashes)
    write_text(out / "croissant.json", [json.dumps(metadata, indent=2), "\n"])
    return written


def _check(request: SourceRequest) -> None:
    if request.split not in SHARES:
        raise SettingError(f"no split {request.split!r}; choose one of {', '.join(SHARES)}")
    if request.path and (request.subsampled or request.seed is not None):
        raise SettingError(
            f"--seed and --subsample are for generated data, and --data {request.path} gives it; "
            "use one of them"
        )


def _source(request: SourceRequest) -> Callable[[], Iterator[State]]:
    """The states, from the first one on as often as it is called; a file is read only once."""
    if request.path or request.password is not None:
        states = load_states(DataRequest(request.path, request.password, task=request.task))
        return lambda: iter(states)
    return lambda: task_named(request.task).generate(
        request.split, request.seed or 0, default_vocabulary(), subsampled=request.subsampled
    )


def _card(task: Task, split: str, described: str, written: int) -> str:
    from jinja2 import Environment, StrictUndefined

    text = files("benchmark.export").joinpath("card.md.jinja").read_text(encoding="utf-8")
    # Markdown, no page: nothing in it is of a model or a user but a file's name.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    return environment.from_string(text).render(
        task=task,
        paper_task=DEFAULT,
        split=split,
        described=described,
        rows=written,
        states=written // task.boxes,
        size=_size(written),
        version=__version__,
    )


def _size(written: int) -> str:
    """The hub's category of a number of rows."""
    ends = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K"}
    return next((name for end, name in ends.items() if written < end), "100K<n<1M")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
