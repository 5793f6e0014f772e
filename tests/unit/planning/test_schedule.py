"""The schedule of jobs on GPUs: properties and examples."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.planning.schedule import Job, Slot, makespan, schedule

GPUS = 4

JOBS = st.lists(st.tuples(st.integers(1, GPUS), st.integers(1, 100)), max_size=20).map(
    lambda rows: [Job(str(n), gpus, s) for n, (gpus, s) in enumerate(rows)]
)


def _overlap(one: Slot, other: Slot) -> bool:
    return one.start < other.end and other.start < one.end


@given(JOBS, st.integers(1, 3))
def test_nothing_is_lost_and_no_gpu_is_lent_twice(jobs: list[Job], nodes: int) -> None:
    """Every job runs once, on GPUs of one node that no other job uses at the same time."""
    slots = schedule(jobs, GPUS, nodes)
    assert {slot.node for slot in slots} <= set(range(nodes))
    assert sorted(slot.job.name for slot in slots) == sorted(job.name for job in jobs)
    for slot in slots:
        assert len(set(slot.gpus)) == slot.job.gpus
        assert set(slot.gpus) <= set(range(GPUS))
    for one, other in combinations(slots, 2):
        shared = one.node == other.node and set(one.gpus) & set(other.gpus)
        assert not (_overlap(one, other) and shared)


@given(JOBS)
def test_not_far_from_what_is_possible(jobs: list[Job]) -> None:
    """The makespan is between the lower bounds and the sum of all jobs."""
    slots = schedule(jobs, GPUS)
    work = sum(job.gpus * job.seconds for job in jobs) / GPUS
    bound = max([work, *(job.seconds for job in jobs)])
    assert bound <= makespan(slots) <= sum(job.seconds for job in jobs)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, GPUS))
def test_single_gpus_are_packed_longest_first(seconds: list[int], gpus: int) -> None:
    """Jobs on one GPU start longest first on the GPU with the least work."""
    jobs = [Job(str(n), 1, s) for n, s in enumerate(seconds)]
    loads = [0] * gpus
    for one in sorted(seconds, reverse=True):
        loads[loads.index(min(loads))] += one
    assert makespan(schedule(jobs, gpus)) == max(loads)


def test_large_ones_come_first() -> None:
    """The widest job starts first, and smaller ones fill the remaining GPUs."""
    jobs = [Job("small", 1, 5), Job("wide", 2, 10), Job("long", 1, 9), Job("short", 1, 1)]
    result = {slot.job.name: (slot.start, slot.gpus) for slot in schedule(jobs, 3)}
    assert result == {
        "wide": (0, (0, 1)),
        "long": (0, (2,)),
        "small": (9, (2,)),
        "short": (10, (0,)),
    }


def test_nodes_are_filled_evenly() -> None:
    """Wide jobs go to nodes of their own while there are some."""
    jobs = [Job(f"wide{n}", 2, 10) for n in range(3)] + [Job("small", 1, 5)]
    result = {slot.job.name: (slot.start, slot.node) for slot in schedule(jobs, 4, 2)}
    assert result == {"wide0": (0, 0), "wide1": (0, 1), "wide2": (0, 0), "small": (0, 1)}


def test_models_of_one_family_run_at_the_same_time() -> None:
    """Four models that pairs share take as long as one of them on four GPUs."""
    assert makespan(schedule([Job(str(n), 1, 60) for n in range(4)], 4)) == 60


def test_a_job_that_does_not_fit() -> None:
    """A job with more GPUs than the machine is an error."""
    with pytest.raises(ValueError, match="does not fit on 2 GPUs"):
        schedule([Job("a", 3, 1)], 2)


def test_nothing_takes_no_time() -> None:
    """Without jobs there are no slots."""
    assert schedule([], 2) == []
    assert makespan([]) == 0
