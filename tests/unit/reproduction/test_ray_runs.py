"""Runs that are exchanged with the nodes of a Ray cluster, and nodes that are not used."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from benchmark.errors import SettingError
from benchmark.reproduction import ray_cluster
from benchmark.reproduction.cluster import Measured, NotMeasured
from benchmark.reproduction.ray_cluster import RayCluster, RayOptions
from benchmark.reproduction.ray_worker import NodeFacts, WorkReply, run_files, write_runs
from benchmark.runs.environment import versions
from fakes.finished_runs import correct_answer, write_stored_run


class _RayError(Exception):
    pass


class _TaskError(_RayError):
    cause = None


class _Cluster(RayCluster):
    def _options(self, node: str, gpus: float = 0, cpus: int = 0) -> dict[str, object]:
        return {}


def _run(store: Path, states: int) -> Path:
    store.mkdir(exist_ok=True)
    return write_stored_run(store, "owner/base", correct_answer, states)


def _cluster(store: Path, replies: Sequence[object], *, cpu: bool = False) -> RayCluster:
    """Return a cluster with one CPU per reply, whose tasks give these and are not Ray's."""
    rows = [{"NodeID": f"{n}" * 8, "Alive": True, "Resources": {"CPU": 1}} for n in range(9)]
    answers = iter(replies)
    remote = SimpleNamespace(remote=lambda *_: object())
    ray = SimpleNamespace(
        get_runtime_context=lambda: SimpleNamespace(get_node_id=lambda: "here"),
        remote=lambda **_: lambda _: remote,
        nodes=lambda: rows[: len(replies)],
        wait=lambda references, **_: (references, []),
        get=lambda _: next(answers),
        exceptions=SimpleNamespace(RayError=_RayError, RayTaskError=_TaskError),
    )
    speaker = SimpleNamespace(say=lambda _: None)
    return _Cluster(cast("ModuleType", ray), store, "", speaker, RayOptions(cpu=cpu))


@pytest.mark.parametrize(
    ("there", "sent", "kept"), [(26, 5, 26), (5, 26, 26), (10, 5, 10), (5, 10, 10)]
)
def test_a_run_with_more_answers_is_kept(tmp_path: Path, there: int, sent: int, kept: int) -> None:
    """Neither direction shortens a run, and files of two states of a run are not mixed."""
    target = _run(tmp_path / "node", there)
    (target / "progress.json").write_text("{}")
    source = _run(tmp_path / "driver", sent)
    write_runs(tmp_path / "node", run_files(source))
    assert len((target / "predictions.jsonl").read_text().splitlines()) == kept
    assert (target / "result.json").exists() == (kept == 26)
    assert (target / "progress.json").exists() == (kept == there)


@pytest.mark.parametrize("writable", [True, False])
def test_a_run_that_cannot_be_stored_is_its_model_s_failure(
    tmp_path: Path, *, writable: bool
) -> None:
    """The other models go on."""
    source, store = _run(tmp_path / "node", 26), tmp_path / "store"
    if not writable:
        store.write_text("")
    cluster = _cluster(store, [WorkReply(Measured(source), run_files(source))])
    cluster._tasks["task"] = ("base", "node")
    outcome = cluster._ended("task").outcome
    assert isinstance(outcome, Measured if writable else NotMeasured)
    assert (store / source.name / "result.json").is_file() == writable


def test_a_cluster_without_a_usable_node_is_an_error(tmp_path: Path) -> None:
    """The reason of each node is named; one usable node is enough."""
    same, other = (NodeFacts("host", of, None) for of in (versions(), {"torch": "1.0"}))
    with pytest.raises(SettingError, match="no node of the cluster can be used: ") as error:
        _cluster(tmp_path, [same, other]).nodes()
    assert "host-000000: it has no GPU; host-111111: " in str(error.value)
    (node,) = _cluster(tmp_path, [same, other], cpu=True).nodes()
    assert node.name == "host-000000"


def test_markers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    """Only old ones: other runs may use the store now."""
    old, new = tmp_path / ".shared-old", tmp_path / ".shared-new"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    ray_cluster._remove_old_markers(tmp_path)
    assert [*tmp_path.iterdir()] == [new]
