"""A reproduction on a Ray cluster: each model is a task on a node whose GPUs hold it.

Ray is imported only here, and only if a reproduction uses it (the extra ``[ray]``). A task has as
many of Ray's GPUs as its model takes on that node, and is not tried again by Ray but by
:mod:`benchmark.reproduction.scheduling`, which counts the tries.
"""

import os
import socket
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from benchmark.errors import BenchmarkError, DataError, SettingError, first_line
from benchmark.extras import check_extra
from benchmark.locking import LockHeldError
from benchmark.reading.documents import read_json
from benchmark.reproduction.cluster import Ended, Event, Lost, Measured, ModelJob, Node, NotMeasured
from benchmark.reproduction.ray_worker import (
    NodeFacts,
    RunFiles,
    WorkOrder,
    WorkReply,
    carry_out,
    node_facts,
    run_files,
    write_runs,
)
from benchmark.runs.environment import versions
from benchmark.runs.requests import RunRequest, Speaker
from benchmark.runs.store.run_identity import first_difference
from benchmark.writing import ensure_folder

LOCAL = "local"
"""The address of a new cluster on this machine."""

_SECONDS_TO_ANSWER = 300
"""How long the first nodes may take to say what they have: they import torch first."""

_MARKER = ".shared-"
_SECONDS_OF_A_MARKER = 14 * 24 * 3600
"""How old a marker must be to be removed: no reproduction takes that long."""

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_TO_CONNECT = 10.0
_ANY_GPU = 0.001
"""A share of a GPU: with it a task sees one, and takes none from a model."""

_PASSED_ON = ("OMP_NUM_THREADS", "XDG_CACHE_HOME")
"""Environment variables of this process that tasks have too; nodes have their own others."""


@dataclass(frozen=True, slots=True)
class RayOptions:
    """How nodes are used.

    Attributes:
        cpu: whether models are measured on CPUs; otherwise a node without GPUs measures none.
        memory: the memory of a GPU in bytes if torch sees none, as of pretended GPUs.
        shared: whether nodes look for the store's folder.
    """

    cpu: bool = False
    memory: int | None = None
    shared: bool = True


@contextmanager
def connected(
    address: str, store: Path, speaker: Speaker, options: RayOptions
) -> Iterator["RayCluster"]:
    """Connect to a Ray cluster, or start one on this machine, until the context ends.

    Args:
        address: that of the cluster; ``auto`` for the one that this machine is part of, ``local``
            for a new one on this machine.
        store: the folder of measurements.
        speaker: takes lines for the user.
        options: how nodes are used.

    Raises:
        MissingLibraryError: if Ray is not installed.
        SettingError: if there is no cluster at this address.
    """
    check_extra("ray", "ray", "--ray")
    import ray

    variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Ray prints what it says of a node that died to standard output, which is for the result.
    with redirect_stdout(sys.stderr):
        yield from _connected(ray, address, store, speaker, options, variables)


def _connected(
    ray: ModuleType,
    address: str,
    store: Path,
    speaker: Speaker,
    options: RayOptions,
    variables: Mapping[str, str],
) -> Iterator["RayCluster"]:
    """Yield the cluster, as :func:`connected` does."""
    try:
        _check_open(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="error",
            runtime_env={"env_vars": dict(variables)},
            **({"include_dashboard": False} if address == LOCAL else {}),
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingError(
            f"--ray {address}: no cluster there: {first_line(error)}; start one with ray start "
            "--head, or use --ray local"
        ) from error
    try:
        ensure_folder(store)
        _remove_old_markers(store)
        marker = store / f"{_MARKER}{uuid.uuid4().hex}"
        marker.touch()
        try:
            yield RayCluster(ray, store, marker.name, speaker, options)
        finally:
            marker.unlink(missing_ok=True)
    finally:
        ray.shutdown()


def _remove_old_markers(store: Path) -> None:
    """Remove the markers of runs that were killed; other runs may use the store now."""
    for path in store.glob(f"{_MARKER}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _SECONDS_OF_A_MARKER:
                path.unlink()


def _check_open(address: str) -> None:
    """Check that something listens at ``HOST:PORT``: Ray would try for minutes.

    Raises:
        OSError: if nothing does.
    """
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_CONNECT).close()


class Board:
    """The events of all tasks; an actor next to the driver."""

    def __init__(self) -> None:
        """Begin without events."""
        self._events = list[Event]()

    def add(self, event: Event) -> None:
        """Take an event of a task."""
        self._events.append(event)

    def drain(self) -> list[Event]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events


def _carry_out(order: WorkOrder, board: ModuleType) -> WorkReply:
    """Measure a model in a task; what happens goes to the board, an actor."""
    return carry_out(order, board.add.remote)


@dataclass
class RayCluster:
    """The nodes of a Ray cluster; ``ray`` is its module, which is imported on use."""

    ray: ModuleType
    store: Path
    marker: str
    speaker: Speaker
    options: RayOptions
    _known: dict[str, Node | None] = field(default_factory=dict)
    """The nodes that have answered, by their ids; None for one that is not used."""

    _asked: dict[str, object] = field(default_factory=dict)
    """Ray's references to the answers of new nodes, by their ids."""

    _left_out: list[str] = field(default_factory=list)
    """The nodes that are not used, and why."""

    _has_been_used: bool = False
    """Whether there has been a node that can be used."""

    _with_gpus: set[str] = field(default_factory=set)
    _tasks: dict[object, tuple[str, str]] = field(default_factory=dict)
    """The name of the model that a task measures, and the id of its node, by Ray's references."""

    def __post_init__(self) -> None:
        """Start the board on this machine."""
        here = self.ray.get_runtime_context().get_node_id()
        self._board = self.ray.remote(**self._options(here))(Board).remote()

    def nodes(self) -> Sequence[Node]:
        """Return the nodes that are alive and have answered.

        A node with other libraries is left out, and so is one without GPUs unless CPUs measure.

        Raises:
            SettingError: if there has been no node that can be used, with the reason of each.
        """
        alive = {row["NodeID"]: row for row in self.ray.nodes() if row["Alive"]}
        for key, row in alive.items():
            if key not in self._known and key not in self._asked:
                gpus = _ANY_GPU if row["Resources"].get("GPU") else 0
                remote = self.ray.remote(**self._options(key, gpus), max_retries=0)
                self._asked[key] = remote(node_facts).remote()
        if self._asked:
            self._hear(alive)
        nodes = tuple(node for key in alive if (node := self._known.get(key)))
        self._has_been_used = self._has_been_used or bool(nodes)
        if not self._has_been_used:
            raise SettingError(self._why_unused())
        return nodes

    def start(self, job: ModelJob, node: Node, slots: int) -> None:
        """Begin a task on the node."""
        marker = self.marker if self.options.shared else ""
        known = _known_runs(self.store, job.request)
        order = WorkOrder(job.name, job.request, self.store.resolve(), marker, known)
        gpus, cpus = (slots, 0) if node.id in self._with_gpus else (0, 1)
        # A process that has used a GPU must end to free it; on CPUs it is used again.
        calls = 0 if self.options.cpu else 1
        how = {**self._options(node.id, gpus, cpus), "max_retries": 0, "max_calls": calls}
        task = self.ray.remote(**how)(_carry_out).remote(order, self._board)
        self._tasks[task] = (job.name, node.id)

    def events(self) -> Sequence[Event]:
        """Return what tasks report, and how those ended that are done."""
        done = list[object]()
        if self._tasks:
            done, _ = self.ray.wait([*self._tasks], timeout=_SECONDS_BETWEEN_LOOKS)
        else:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return [*self._reported(), *map(self._ended, done)]

    def now(self) -> float:
        """Return the time in seconds."""
        return time.monotonic()

    def _options(self, node: str, gpus: float = 0, cpus: int = 0) -> dict[str, object]:
        """Return the options of a task or an actor on a node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        return {"num_gpus": gpus, "num_cpus": cpus, "scheduling_strategy": strategy}

    def _hear(self, alive: Mapping[str, Mapping[str, object]]) -> None:
        """Take the answers of new nodes; wait for those of the first nodes only."""
        references = [*self._asked.values()]
        seconds = 0 if self._known else _SECONDS_TO_ANSWER
        ready, _ = self.ray.wait(references, num_returns=len(references), timeout=seconds)
        for key, reference in [*self._asked.items()]:
            if reference in ready:
                del self._asked[key]
                self._known[key] = self._answered(key, alive.get(key, {}), reference)

    def _answered(self, key: str, row: Mapping[str, object], reference: object) -> Node | None:
        """Return a node by its answer, None if it is not used."""
        try:
            facts: NodeFacts = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self._leave_out(key[:6], first_line(error)[:200])
            return None
        name = f"{facts.host}-{key[:6]}"
        resources = row.get("Resources")
        counts = resources if isinstance(resources, dict) else {}
        gpus, cpus = int(counts.get("GPU", 0)), int(counts.get("CPU", 0))
        own, there = versions(), dict(facts.versions)
        if difference := first_difference(own, there, "versions", ("here", "there")):
            self._leave_out(name, difference)
            return None
        if gpus:
            self._with_gpus.add(key)
            return Node(key, name, gpus, facts.memory or self.options.memory)
        if self.options.cpu and cpus:
            return Node(key, name, cpus)
        self._leave_out(name, f"it has no {'CPU' if self.options.cpu else 'GPU'}")
        return None

    def _leave_out(self, name: str, reason: str) -> None:
        self._left_out.append(f"{name}: {reason}")
        self.speaker.say(f"node {name} is left out: {reason}")

    def _why_unused(self) -> str:
        silent = (f"{key[:6]}: no answer in {_SECONDS_TO_ANSWER} s" for key in self._asked)
        reasons = "; ".join([*self._left_out, *silent]) or "no node is alive"
        hint = "" if self.options.cpu else "; --device cpu measures on nodes without GPUs"
        return f"--ray: no node of the cluster can be used: {reasons}{hint}"

    def _reported(self) -> list[Event]:
        """Return the events of the board; none if it does not answer now."""
        try:
            events: list[Event] = self.ray.get(
                self._board.drain.remote(), timeout=_SECONDS_TO_ANSWER
            )
        except self.ray.exceptions.RayError:  # it only shows progress
            return []
        return events

    def _ended(self, reference: object) -> Ended:
        (name, node), errors = self._tasks.pop(reference), self.ray.exceptions
        try:
            reply: WorkReply = self.ray.get(reference)
        except errors.RayTaskError as error:  # an error of the task itself
            return Ended(name, NotMeasured(first_line(error.cause or error)))
        except errors.RayError as error:  # the process or the node is gone
            if isinstance(error, errors.NodeDiedError | errors.TaskUnschedulableError):
                self._known[node] = None  # Ray may list it for minutes; it comes back as another
            return Ended(name, Lost(f"{type(error).__name__}: {first_line(error)[:60]}"))
        try:
            write_runs(self.store, reply.files, wait=False)
        except LockHeldError:
            return Ended(name, NotMeasured("another process writes to its run in the store"))
        except (BenchmarkError, OSError) as error:
            return Ended(name, NotMeasured(f"its run cannot be stored: {first_line(error)}"))
        outcome = reply.outcome
        if isinstance(outcome, Measured):
            outcome = Measured(self.store / outcome.folder.name)
        return Ended(name, outcome)


def _known_runs(store: Path, request: RunRequest) -> RunFiles:
    """Return the runs of a request's model in the store, finished or not."""
    runs = dict[str, Mapping[str, str]]()
    for path in sorted(store.glob("*/run.json")):
        try:
            model = read_json(path).get("model")
            if isinstance(model, dict) and model.get("name") == request.model:
                runs |= run_files(path.parent)
        except DataError:  # damaged: it is measured again in another folder
            continue
    return runs
