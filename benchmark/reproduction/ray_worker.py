"""A model measured in a task of a Ray cluster, on a node that may share no folder with others.

If the node sees the store's folder, the model is measured there. Otherwise it is measured in a
folder of the node, whose files are sent back; what the store has of it already is sent along, so
that an interrupted measurement is resumed and a finished one is not repeated.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.folder_writing import replacing_folder
from benchmark.models.cache_folder import cache_folder
from benchmark.models.gpus import gpus
from benchmark.models.loading import resolve_device
from benchmark.reading.files import read_text
from benchmark.records import Tally
from benchmark.reproduction.cluster import Advanced, Event, Measured, NotMeasured, Said
from benchmark.reproduction.measuring import measure_model
from benchmark.runs.environment import versions
from benchmark.runs.model_store import ModelStore
from benchmark.runs.placement import placement
from benchmark.runs.requests import RunRequest

RunFiles = Mapping[str, Mapping[str, str]]
"""The texts of the files of runs, by the names of folder and file."""

_FILES = ("run.json", "progress.json", "predictions.jsonl", "result.json")


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


def write_runs(store: Path, runs: RunFiles) -> None:
    """Write the folders of runs into a store, each by one rename."""
    for name, files in runs.items():
        with replacing_folder(store / name) as folder:
            for file, text in files.items():
                (folder / file).write_text(text, encoding="utf-8")


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
