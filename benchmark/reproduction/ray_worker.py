"""A model measured in a task of a Ray cluster, on a node that may share no folder with others.

If the node sees the store's folder, the model is measured there. Otherwise it is measured in a
folder of the node, whose files are sent back; what the store has of it already is sent along, so
that an interrupted measurement is resumed and a finished one is not repeated.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import DataError
from benchmark.folder_writing import replacing_folder
from benchmark.models.cache_folder import cache_folder
from benchmark.models.gpus import gpus
from benchmark.models.loading import resolve_device
from benchmark.reading.documents import parse_json
from benchmark.reading.files import read_text
from benchmark.records import Tally
from benchmark.reproduction.cluster import Advanced, Event, Measured, NotMeasured, Said
from benchmark.reproduction.measuring import measure_model
from benchmark.runs.environment import versions
from benchmark.runs.model_store import ModelStore, measurement_lock
from benchmark.runs.placement import placement
from benchmark.runs.requests import RunRequest
from benchmark.writing import ensure_folder, is_present

RunFiles = Mapping[str, Mapping[str, str]]
"""The texts of the files of runs, by the names of folder and file."""

_ANSWERS, _RESULT = "predictions.jsonl", "result.json"
_FILES = ("run.json", "progress.json", _ANSWERS, _RESULT)


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """A model that a node is to measure.

    Attributes:
        name: its key in the registry.
        request: its request.
        store: the store's folder on the machine that ordered it.
        marker: a file in that folder; a node that sees it shares the folder.
        known: what the store has of the model.
    """

    name: str
    request: RunRequest
    store: Path
    marker: str
    known: RunFiles


@dataclass(frozen=True, slots=True)
class WorkReply:
    """What became of a model; ``files`` are sent if the node does not share the store's folder."""

    outcome: Measured | NotMeasured
    files: RunFiles


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node says about itself.

    Attributes:
        host: its name.
        versions: of the libraries that can change a result.
        memory: of its smallest GPU in bytes; None if it has none.
    """

    host: str
    versions: Mapping[str, str]
    memory: int | None


def node_facts() -> NodeFacts:
    """Return what this node says about itself."""
    memory = min((gpu.memory for gpu in gpus()), default=None)
    return NodeFacts(socket.gethostname(), versions(), memory)


def carry_out(order: WorkOrder, report: Callable[[Event], None]) -> WorkReply:
    """Measure a model on this node.

    Args:
        order: the model.
        report: takes what happens meanwhile.
    """
    shared = (order.store / order.marker).is_file()
    folder = order.store if shared else cache_folder() / "cluster"
    if not shared:
        write_runs(folder, order.known)
    device = resolve_device(order.request.device)
    store = ModelStore(folder, _Reports(order.name, report), placement(device, None, 1))
    outcome = measure_model(store, replace(order.request, device=device))
    if not isinstance(outcome, Measured):
        return WorkReply(outcome, {})
    files = {} if shared else run_files(outcome.folder)
    return WorkReply(Measured(order.store / outcome.folder.name), files)


def run_files(folder: Path) -> RunFiles:
    """Return the files of a run, by the name of its folder.

    Raises:
        DataError: if one cannot be read.
    """
    paths = [folder / name for name in _FILES if (folder / name).is_file()]
    return {folder.name: {path.name: read_text(path) for path in paths}}


def write_runs(store: Path, runs: RunFiles, *, wait: bool = True) -> None:
    """Write the folders of runs into a store, unless it has more of them.

    A run is written if it is finished, or if the one in the store is unfinished and has fewer
    answers.

    Raises:
        DataError: if the identity of a run cannot be read.
        LockHeldError: without ``wait``, while another process writes the same run.
        OSError: naming the folder, if it cannot be written.
    """
    ensure_folder(store)
    for name, files in runs.items():
        identity = parse_json(files["run.json"], f"{name}/run.json")
        if not isinstance(identity, dict):
            raise DataError(f"{name}/run.json: not an object")
        with measurement_lock(store, identity, wait=wait):
            if _has_more(files, store / name):
                _write_run(files, store / name)


def _has_more(files: Mapping[str, str], target: Path) -> bool:
    """Return whether a run is finished, or has more answers than the unfinished one of a folder."""
    if _RESULT in files or is_present(target / _RESULT):
        return _RESULT in files
    path = target / _ANSWERS
    stored = read_text(path).count("\n") if is_present(path) else -1
    return files.get(_ANSWERS, "").count("\n") > stored


def _write_run(files: Mapping[str, str], target: Path) -> None:
    """Write the files of a run; those of an earlier state of it that it lacks are removed."""
    for name in _FILES:
        if name not in files:
            (target / name).unlink(missing_ok=True)
    with replacing_folder(target) as folder:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


@dataclass
class _Reports:
    """The progress of a model as events."""

    name: str
    report: Callable[[Event], None]
    done: int = 0
    total: int = 0

    def say(self, text: str) -> None:
        self.report(Said(self.name, text))

    def start(self, total: int, done: int, name: str = "", forecast: float | None = None) -> None:  # noqa: ARG002  # as of Progress
        self.total, self.done = total, done
        self.report(Advanced(self.name, done, total))

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:  # noqa: ARG002  # as of Progress
        self.done += states
        accuracy = right.accuracy if right and right.total else None
        self.report(Advanced(self.name, self.done, self.total, accuracy))
