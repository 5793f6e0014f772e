"""Models on the nodes of a cluster: who starts where, what is tried again, what is given up."""

from collections import deque
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.models.registry import registry
from benchmark.planning.forecast import machine, plan
from benchmark.planning.schedule import makespan
from benchmark.reproduction.cluster import Measured, ModelJob, Node, NotMeasured
from benchmark.reproduction.jobs import forecast_options, jobs_of
from benchmark.reproduction.scheduling import PATIENCE, Start, run_jobs, starts
from benchmark.reproduction.selection import selected_pairs
from benchmark.runs.requests import NOT_WRITTEN, RunRequest
from fakes.fake_cluster import EIGHTY, TWENTY_FOUR, FakeCluster, Lines, fake_job


def _node(name: str, slots: int = 8, memory: int | None = EIGHTY) -> Node:
    return Node(name, name, slots, memory)


def test_everything_is_measured_once() -> None:
    """On two nodes of one GPU, each model runs once, and no GPU has two models."""
    jobs = [fake_job(f"m{n}", seconds=n) for n in (5, 4, 3, 2, 1)]
    cluster = FakeCluster.of(_node("a", 1), _node("b", 1))
    outcomes = run_jobs(jobs, cluster, Lines())
    assert outcomes.keys() == {job.name for job in jobs}
    assert all(isinstance(outcome, Measured) for outcome in outcomes.values())
    assert cluster.time == 8  # 5 and 2 and 1; 4 and 3
    assert len(cluster.log) == len(jobs)


def test_a_lost_node_s_models_are_tried_elsewhere() -> None:
    """They start again at once on another node, before those that wait."""
    jobs = [fake_job("one", 10), fake_job("two", 10), fake_job("three", 10)]
    cluster = FakeCluster.of(_node("a", 1), _node("b", 1), losses={4: "a"})
    view = Lines()
    outcomes = run_jobs(jobs, cluster, view)
    assert all(isinstance(outcome, Measured) for outcome in outcomes.values())
    tries = [(began, ended, start.job.name, start.node.name) for began, ended, start in cluster.log]
    assert tries == [
        (0, 4, "one", "a"),
        (0, 10, "two", "b"),
        (10, 20, "one", "b"),
        (20, 30, "three", "b"),
    ]
    assert "one: lost on a (the node is gone); try 2 of 3 follows" in view.lines
    assert "node a (1 GPU of 80 GB) is lost" in view.lines


@pytest.mark.parametrize(
    ("crashes", "retries", "measured"), [(2, 2, True), (3, 2, False), (1, 0, False)]
)
def test_tries_are_bounded(crashes: int, retries: int, *, measured: bool) -> None:
    """A model whose process crashes is tried again a bounded number of times; others go on."""
    jobs = [fake_job("bad", 2), fake_job("good", 1)]
    cluster = FakeCluster.of(_node("a", 1), crashes={"bad": crashes})
    outcomes = run_jobs(jobs, cluster, Lines(), retries=retries)
    assert outcomes["good"] == Measured(outcomes["good"].folder)  # type: ignore[union-attr]
    assert isinstance(outcomes["bad"], Measured) == measured
    if isinstance(outcome := outcomes["bad"], NotMeasured):
        assert not outcome.skipped
        assert outcome.reason.startswith(f"lost {retries + 1} times, the last time on a: ")


def test_another_node_is_preferred_after_a_crash() -> None:
    """A node whose hardware is broken does not use up all tries."""
    cluster = FakeCluster.of(_node("a", 8), _node("b", 2), crashes={"one": 1})
    run_jobs([fake_job("one", 2)], cluster, Lines())
    assert [start.node.name for _, _, start in cluster.log] == ["a", "b"]


def test_an_error_is_not_tried_again() -> None:
    """What became of a model is kept as it is."""
    gated = NotMeasured("gated", skipped=True)
    cluster = FakeCluster.of(_node("a"), outcomes={"one": gated})
    assert run_jobs([fake_job("one", 2)], cluster, Lines()) == {"one": gated}
    assert len(cluster.log) == 1


def test_large_cards_are_for_large_models() -> None:
    """A model takes the least memory that holds it; one that no node holds is skipped."""
    jobs = [fake_job("large", 9, size=140), fake_job("mid", 9, size=40), fake_job("small", 9)]
    cluster = FakeCluster.of(_node("big", 2), _node("cheap", 4, TWENTY_FOUR))
    outcomes = run_jobs([*jobs, fake_job("huge", 9, size=700)], cluster, Lines())
    places = {start.job.name: (start.node.name, start.slots) for _, _, start in cluster.log}
    assert places == {"large": ("big", 2), "mid": ("cheap", 2), "small": ("cheap", 1)}
    huge = outcomes["huge"]
    assert isinstance(huge, NotMeasured)
    assert huge.skipped
    assert "more memory than a node has; there is big (2 GPUs of 80 GB), cheap" in huge.reason


def test_a_wide_model_is_not_starved() -> None:
    """Small models that come later do not take the GPUs that a wide one waits for."""
    jobs = [
        fake_job("first", 10, size=70),
        fake_job("wide", 10, size=150),
        *(fake_job(f"small{n}", 8, size=70) for n in range(6)),
    ]
    cluster = FakeCluster.of(_node("a", 2))
    run_jobs(jobs, cluster, Lines())
    began = {start.job.name: began for began, _, start in cluster.log}
    assert began["wide"] == 10
    assert all(began[f"small{n}"] >= 20 for n in range(6))


def test_a_node_that_comes_back_is_waited_for() -> None:
    """A model that only a lost node held waits some time for another one, and no longer."""
    big = _node("big", 2)
    jobs = [fake_job("large", 10, size=140)]
    for delay, measured in ((PATIENCE - 1, True), (PATIENCE + 5, False)):
        cluster = FakeCluster.of(
            big,
            losses={5: "big"},
            arrivals={5 + delay: _node("new", 2)},
        )
        outcome = run_jobs(jobs, cluster, Lines())["large"]
        assert isinstance(outcome, Measured) == measured
        if isinstance(outcome, NotMeasured):
            assert "no node that holds it is left" in outcome.reason


@settings(max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 200), st.integers(1, 9)), min_size=1, max_size=12),
    slots=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    losses=st.dictionaries(st.integers(1, 20), st.integers(0, 2), max_size=2),
)
def test_every_model_ends_and_no_gpu_is_used_twice(
    sizes: Sequence[tuple[int, int]], slots: Sequence[int], losses: Mapping[int, int]
) -> None:
    """With any loss each model has one outcome, and no more GPUs are used than there are."""
    jobs = [fake_job(f"m{n}", time, size) for n, (size, time) in enumerate(sizes)]
    nodes = [_node(f"n{n}", count) for n, count in enumerate(slots)]
    lost = {float(time): f"n{node}" for time, node in losses.items()}
    cluster = FakeCluster.of(*nodes, losses=lost)
    outcomes = run_jobs(jobs, cluster, Lines())
    assert outcomes.keys() == {job.name for job in jobs}
    for moment in {began for began, _, _ in cluster.log}:
        for node in nodes:
            used = [
                start.slots
                for began, ended, start in cluster.log
                if began <= moment < ended and start.node.id == node.id
            ]
            assert sum(used) <= node.slots
    if not lost:
        too_large = {
            j.name for j in jobs if all(j.slots_on(n.slots, n.memory) is None for n in nodes)
        }
        assert {n for n, o in outcomes.items() if isinstance(o, NotMeasured)} == too_large


def _naive_starts(
    waiting: Sequence[ModelJob], nodes: Sequence[Node], free: Mapping[str, int]
) -> list[Start]:
    """Return what starts, by trying all places of each model in turn."""
    left, blocked, started = dict(free), list[str](), list[Start]()
    for job in waiting:
        holding = {n.id: c for n in nodes if (c := job.slots_on(n.slots, n.memory)) is not None}
        best: tuple[tuple[float, float, str], Node] | None = None
        for node in nodes:
            if node.id in blocked or node.id not in holding or holding[node.id] > left[node.id]:
                continue
            cost = (holding[node.id] * (node.memory or 0), -left[node.id], node.name)
            if best is None or cost < best[0]:
                best = cost, node
        if best:
            node = best[1]
            left[node.id] -= holding[node.id]
            started.append(Start(job, node, holding[node.id]))
            continue
        gaps = [
            (holding[n.id] - left[n.id], n.name, n.id)
            for n in nodes
            if n.id in holding and n.id not in blocked
        ]
        blocked += [min(gaps)[2]] if gaps else []
    return started


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 300), max_size=10),
    nodes=st.lists(
        st.tuples(st.integers(1, 8), st.integers(0, 8), st.sampled_from([EIGHTY, TWENTY_FOUR])),
        max_size=4,
    ),
)
def test_starts_are_those_of_a_naive_search(
    sizes: Sequence[int], nodes: Sequence[tuple[int, int, int]]
) -> None:
    """The models that start now, and where, are those of an independent search."""
    jobs = [fake_job(f"m{n}", 1, size) for n, size in enumerate(sizes)]
    there = [_node(f"n{n}", count, memory) for n, (count, _, memory) in enumerate(nodes)]
    free = {f"n{n}": min(used, count) for n, (count, used, _) in enumerate(nodes)}
    assert [*starts(deque(jobs), there, free)] == _naive_starts(jobs, there, free)


def test_the_paper_s_models_on_four_nodes() -> None:
    """They take no longer than planned, and the 70B models get two GPUs of a node each."""
    request = RunRequest("", NOT_WRITTEN, device="cuda")
    pairs = selected_pairs(registry(), paper=True)
    jobs = jobs_of(registry(), pairs, request)
    assert len(jobs) == 29
    cluster = FakeCluster.of(*(_node(f"n{n}") for n in range(4)))
    run_jobs(jobs, cluster, Lines())
    wide = {start.job.name for _, _, start in cluster.log if start.slots == 2}
    assert wide == {"llama2-70b", "llama2-70b-chat", "codellama-70b", "codellama-70b-instruct"}
    planned = plan(registry(), pairs, machine("H100-80GB-SXM", 8, 80, 4), forecast_options(request))
    assert cluster.time <= makespan(planned.slots) * 1.001
