"""A reproduction on a real Ray cluster: nodes with pretended GPUs, a killed node and process.

Skipped without Ray; ``nox -s ray`` installs it.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmark.cli.app import app
from benchmark.reproduction import ray_cluster
from benchmark.reproduction.cluster import Event

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed; run: nox -s ray"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

CONTROLS = Path(__file__).parents[2] / "fixtures" / "models" / "registry.toml"
STATES = 24
SLOW_MACHINE = {
    "agent_register_timeout_ms": 600_000,
    "health_check_timeout_ms": 60_000,
    "memory_monitor_refresh_ms": 0,
    "raylet_start_wait_time_s": 300,
    "worker_register_timeout_seconds": 300,
}
"""Ray's limits for a machine that does other work, too."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a node with one pretended GPU and one with two, and one CPU each."""
    for name, value in SLOW_MACHINE.items():
        monkeypatch.setenv(f"RAY_{name}", str(value))
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.second = cluster.add_node(num_cpus=1, num_gpus=2)
    yield cluster
    cluster.shutdown()


def _reproduce(cluster: Any, store: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:  # noqa: ANN401  # Ray's
    """Return the JSON of the verb, and what it said."""
    words = ["reproduce", "--registry", str(CONTROLS), "--device", "cpu", "--vram", "80", "--json"]
    words += ["--states", str(STATES), "--batch-size", "1", "--store", str(store)]
    app([*words, "--ray", cluster.address], standalone_mode=False)
    out, err = capsys.readouterr()
    return json.loads(out), err


def _when_decoding(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Act once when the first model of the second node has decoded some states."""
    seen = threading.Event()
    events = ray_cluster.RayCluster.events

    def watched(self: ray_cluster.RayCluster) -> list[Event]:
        happened = [*events(self)]
        if not seen.is_set() and any(getattr(e, "done", 0) > 1 for e in happened):
            seen.set()
            act()
        return happened

    monkeypatch.setattr(ray_cluster.RayCluster, "events", watched)


def _check(document: Any, store: Path) -> None:  # noqa: ANN401
    """Check that each model is measured once, and all pairs have a verdict."""
    assert {model["status"] for model in document["models"].values()} == {"measured"}
    assert len(document["models"]) == len(list(store.glob("*/result.json"))) == 3
    assert all(pair["verdict"] for pair in document["pairs"].values())
    assert not list(store.glob(".shared-*"))
    for path in store.glob("*/result.json"):
        assert json.loads(path.read_text())["overall"]["total"] == 7 * STATES


def test_a_killed_node(
    cluster: Any,  # noqa: ANN401
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its models are measured on the other node, and what was shared is resumed."""
    _when_decoding(monkeypatch, lambda: cluster.remove_node(cluster.second, allow_graceful=False))
    document, said = _reproduce(cluster, tmp_path / "store", capsys)
    _check(document, tmp_path / "store")
    assert "is lost" in said
    assert "; try 2 of 3 follows" in said


def test_a_killed_process_on_nodes_that_share_nothing(
    cluster: Any,  # noqa: ANN401
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model whose process is killed is tried again; results are sent, and then not repeated."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    options = ray_cluster.RayOptions
    monkeypatch.setattr(
        "benchmark.reproduction.run.RayOptions", lambda **given: options(**given, shared=False)
    )
    node = tmp_path / "node"
    _when_decoding(monkeypatch, lambda: _kill_one_task(next(node.rglob("cluster"))))
    document, said = _reproduce(cluster, tmp_path / "store", capsys)
    _check(document, tmp_path / "store")
    assert said.count("; try 2 of 3 follows") == 1
    times = {path: path.stat().st_mtime_ns for path in node.rglob("result.json")}
    assert len(times) == 3
    again, _ = _reproduce(cluster, tmp_path / "store", capsys)
    assert again == document
    decoded = [json.loads(p.read_text())["timing"]["starts"] for p in times]
    assert sorted(decoded) == [1, 1, 2]


def _kill_one_task(store: Path) -> None:
    """Kill a process that has measured some states of a model, and not all."""
    for process in psutil.Process().children(recursive=True):
        if any("ray::_carry_out" in word for word in process.cmdline()) and _is_decoding(
            process, store
        ):
            os.kill(process.pid, signal.SIGKILL)
            return
    raise AssertionError("no process is in the middle of a model")


def _is_decoding(process: psutil.Process, store: Path) -> bool:
    """Return whether a process holds the lock of a run that has answers and no result."""
    locks = {Path(file.path) for file in process.open_files()}
    names = [lock.stem for lock in locks if (lock.parent, lock.suffix) == (store, ".lock")]
    folders = [folder for name in names for folder in store.glob(f"*-{name}")]
    return any(
        (folder / "predictions.jsonl").exists() and not (folder / "result.json").exists()
        for folder in folders
    )
