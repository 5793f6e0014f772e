"""Datasets as folders for Hugging Face's ``datasets``, with a card and Croissant metadata."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark import __version__
from benchmark.boxes.splits import SHARES
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.boxes.world import BOXES
from benchmark.errors import SettingError
from benchmark.export.croissant import croissant
from benchmark.export.parquet import write_dataset
from benchmark.folder_writing import replacing_folder
from benchmark.output import markdown
from benchmark.package_data import package_text
from benchmark.records import State
from benchmark.runs.data import load_states
from benchmark.runs.requests import DataRequest
from benchmark.tasks import DEFAULT, Task, task_named
from benchmark.writing import write_text

_METADATA = "croissant.json"
"""It has the digests of the other files."""


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """The data to export: a file, or a generated split or its evaluated subset."""

    path: Path | None = None
    password: str | None = None
    split: str = "test"
    seed: int | None = None
    subsampled: bool = False
    task: str = DEFAULT

    def describe(self) -> str:
        """Return the origin of the data in words; a file is named without its path."""
        if self.path:
            return f"read from {self.path.name}"
        kind = "the evaluated subset of the" if self.subsampled else "the whole"
        task = "" if self.task == DEFAULT else f" of the task {self.task}"
        return f"{kind} {self.split} split{task}, generated from seed {self.seed or 0}"


def write_folder(request: DatasetRequest, out: Path) -> int:
    """Write SPLIT.jsonl, SPLIT.parquet, README.md and croissant.json; return the number of rows.

    The JSON lines equal those of ``generate``, and the Parquet file has the same rows.

    Raises:
        SettingError: for an unknown split, or options that exclude each other.
        DataError: if the data cannot be read.
        MissingLibraryError: without pyarrow.
    """
    _check(request)
    with replacing_folder(out, last=_METADATA) as folder:
        return _write_files(request, folder)


def _write_files(request: DatasetRequest, out: Path) -> int:
    json_file, parquet_file = (out / f"{request.split}.{name}" for name in ("jsonl", "parquet"))
    states, task = _states(request), task_named(request.task)

    def lines() -> Iterator[str]:
        return (line for state in states() for line in task.rows(state))

    # Parquet first: if its library is missing, no files are left behind.
    rows = write_dataset(parquet_file, map(json.loads, lines()))
    write_text(json_file, (f"{line}\n" for line in lines()))
    description = request.describe()
    write_text(out / "README.md", [_card(task, request.split, description, rows)])
    hashes = {path.name: _sha256(path) for path in (json_file, parquet_file)}
    metadata = croissant(request.split, description, hashes)
    write_text(out / _METADATA, [json.dumps(metadata, indent=2), "\n"])
    return rows


def _check(request: DatasetRequest) -> None:
    if request.split not in SHARES:
        raise SettingError(f"no split {request.split!r}; choose one of {', '.join(SHARES)}")
    if request.path and (request.subsampled or request.seed is not None):
        raise SettingError(
            "--seed and --subsample apply to generated data and cannot be combined with --data "
            f"{request.path}; use one of them"
        )


def _states(request: DatasetRequest) -> Callable[[], Iterator[State]]:
    """Return a function that iterates over the states; a file is read only once."""
    if request.path or request.password is not None:
        states = load_states(DataRequest(request.path, request.password, task=request.task))
        return lambda: iter(states)
    return lambda: task_named(request.task).generate(
        request.split, request.seed or 0, default_vocabulary(), subsampled=request.subsampled
    )


def _card(task: Task, split: str, description: str, rows: int) -> str:
    from jinja2 import Environment, StrictUndefined

    text = package_text("export/card.md.jinja")
    # The result is Markdown, not HTML.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    return environment.from_string(text).render(
        task=task,
        paper_task=DEFAULT,
        split=split,
        description=markdown(description),
        rows=rows,
        states=rows // BOXES,
        size=_size_category(rows),
        version=__version__,
    )


def _size_category(rows: int) -> str:
    """Return the Hugging Face hub's size category."""
    limits = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K"}
    return next((name for limit, name in limits.items() if rows < limit), "100K<n<1M")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
