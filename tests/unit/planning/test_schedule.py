"""The schedule of jobs on GPUs: properties and examples."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.planning.schedule import Job, Slot, makespan, schedule

GPUS = 4

JOBS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.integers(1, GPUS), st.integers(1, 100)), max_size=20
).map(lambda rows: [Job(str(n), group, gpus, s) for n, (group, gpus, s) in enumerate(rows)])


def _overlap(one: Slot, other: Slot) -> bool:
    return one.start < other.end and other.start < one.end


@given(JOBS)
def test_nothing_is_lost_and_no_gpu_is_lent_twice(jobs: list[Job]) -> None:
    """Every job runs once, on GPUs that no other job uses at the same time."""
    slots = schedule(jobs, GPUS)
    assert sorted(slot.job.name for slot in slots) == sorted(job.name for job in jobs)
    for slot in slots:
        assert len(set(slot.gpus)) == slot.job.gpus
        assert set(slot.gpus) <= set(range(GPUS))
    for one, other in combinations(slots, 2):
        assert not (_overlap(one, other) and set(one.gpus) & set(other.gpus))


@given(JOBS)
def test_a_group_runs_in_its_order_without_a_gap(jobs: list[Job]) -> None:
    """The jobs of a group run in their given order on the same GPUs."""
    slots = {slot.job.name: slot for slot in schedule(jobs, GPUS)}
    for name in {job.group for job in jobs}:
        own = [slots[job.name] for job in jobs if job.group == name]
        for before, after in pairwise(own):
            assert after.start == before.end
        widest = max(own, key=lambda slot: len(slot.gpus))
        assert all(set(slot.gpus) <= set(widest.gpus) for slot in own)


@given(JOBS)
def test_not_far_from_what_is_possible(jobs: list[Job]) -> None:
    """The makespan is between the lower bounds and the sum of all jobs."""
    slots = schedule(jobs, GPUS)
    groups: dict[str, float] = {}
    for job in jobs:
        groups[job.group] = groups.get(job.group, 0) + job.seconds
    bound = max([sum(j.gpus * j.seconds for j in jobs) / GPUS, *groups.values()], default=0)
    assert bound <= makespan(slots) <= sum(job.seconds for job in jobs)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, GPUS))
def test_single_gpus_are_packed_longest_first(seconds: list[int], gpus: int) -> None:
    """Groups of one GPU start longest first on the GPU with the least work."""
    jobs = [Job(str(n), str(n), 1, s) for n, s in enumerate(seconds)]
    loads = [0] * gpus
    for one in sorted(seconds, reverse=True):
        loads[loads.index(min(loads))] += one
    assert makespan(schedule(jobs, gpus)) == max(loads)


def test_large_ones_come_first() -> None:
    """The widest group starts first, and smaller ones fill the remaining GPUs."""
    jobs = [
        Job("small", "s", 1, 5),
        Job("wide", "w", 2, 10),
        Job("long", "l", 1, 9),
        Job("beside wide", "w", 1, 1),
    ]
    result = {slot.job.name: (slot.start, slot.gpus) for slot in schedule(jobs, 3)}
    assert result == {
        "wide": (0, (0, 1)),
        "beside wide": (10, (0,)),
        "long": (0, (2,)),
        "small": (9, (2,)),
    }


def test_a_job_that_does_not_fit() -> None:
    """A job with more GPUs than the machine is an error."""
    with pytest.raises(ValueError, match="does not fit on 2 GPUs"):
        schedule([Job("a", "a", 3, 1)], 2)


def test_nothing_takes_no_time() -> None:
    """Without jobs there are no slots."""
    assert schedule([], 2) == []
    assert makespan([]) == 0
