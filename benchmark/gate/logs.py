"""Find out which harness wrote a log, and read it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import DataError
from benchmark.gate import inspect_logs, lighteval_logs, lm_eval_logs, own_logs
from benchmark.gate.samples import Log, TaskLog
from benchmark.scoring.predictions import holds_predictions
from benchmark.writing import is_present

Read = Callable[[Path, str | None], dict[str, TaskLog]]


class _Kind(NamedTuple):
    """A kind of log: its name, its reader, and whether a file of a folder is one."""

    name: str
    read: Read
    is_log: Callable[[Path], bool]


_KINDS = (
    _Kind(lm_eval_logs.KIND, lm_eval_logs.read, lm_eval_logs.is_log),
    _Kind(inspect_logs.KIND, inspect_logs.read, inspect_logs.is_log),
    _Kind(lighteval_logs.KIND, lighteval_logs.read, lighteval_logs.is_log),
    _Kind(own_logs.KIND, own_logs.read, lambda path: path.name == own_logs.PREDICTIONS),
)

_COMPRESSED = {".bz2", ".gz", ".xz", ".zst"}

_KNOWN = (
    "samples_*.jsonl of lm-evaluation-harness (--log_samples), *.eval or *.json of Inspect, "
    "details_*.parquet of lighteval (--save-details), or a folder of this benchmark's run"
)


def read_log(path: Path, cluster: str | None = None) -> Log:
    """Return the log at a path: a file, or a folder with one file per task.

    Args:
        path: the file or folder.
        cluster: a field of the samples that says which belong together.

    Raises:
        DataError: if there is no log, or logs of several harnesses, or a task twice.
    """
    if not is_present(path):
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir():
        return _read_folder(path, cluster)
    kind = _kind(path)
    return Log(kind.name, _read(kind, path, cluster))


def _read(kind: _Kind, path: Path, cluster: str | None) -> dict[str, TaskLog]:
    tasks = kind.read(path, cluster)
    if not all(task.samples for task in tasks.values()):
        raise DataError(f"{path}: the log has no samples")
    return tasks


def _kind(path: Path) -> _Kind:
    """Return the kind of a file: by its name, or by its content if any name is possible."""
    for kind in _KINDS:
        if kind.is_log(path):
            return kind
    by_suffix = {".jsonl": _KINDS[0], ".json": _KINDS[1], ".parquet": _KINDS[2]}
    if path.suffix == ".jsonl" and holds_predictions(path):
        return _KINDS[3]
    if path.suffix in by_suffix:
        return by_suffix[path.suffix]
    _refuse_compressed([path])
    raise DataError(f"{path}: no known log; name {_KNOWN}")


def _read_folder(folder: Path, cluster: str | None) -> Log:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    by_kind = {kind: logs for kind in _KINDS if (logs := [*filter(kind.is_log, files)])}
    if not by_kind:
        _refuse_compressed(files)
        raise DataError(f"{folder}: no log in it; name {_KNOWN}")
    if len(by_kind) > 1:
        harnesses = " and ".join(kind.name for kind in by_kind)
        raise DataError(f"{folder}: has logs of {harnesses}; name the folder of one")
    ((kind, logs),) = by_kind.items()
    return Log(kind.name, _merged(kind, logs, cluster))


def _refuse_compressed(files: Sequence[Path]) -> None:
    """Refuse files that are logs when they are decompressed.

    Raises:
        DataError: naming the first.
    """
    if path := next((path for path in files if path.suffix in _COMPRESSED), None):
        raise DataError(f"{path}: is compressed; decompress it first")


def _merged(kind: _Kind, logs: Sequence[Path], cluster: str | None) -> dict[str, TaskLog]:
    """Return the tasks of several files.

    Raises:
        DataError: if two files are of one task: those of another run.
    """
    tasks, sources = dict[str, TaskLog](), dict[str, Path]()
    for path in logs:
        place = path.parent if kind.read is own_logs.read else path
        for name, task in _read(kind, place, cluster).items():
            if name in tasks:
                raise DataError(
                    f"{path}: task {name} is also in {sources[name].name}; name a file, or a "
                    "folder with the logs of one run"
                )
            tasks[name], sources[name] = task, path
    return tasks
