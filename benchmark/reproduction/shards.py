"""Split the models of a reproduction into shards, such as the tasks of a SLURM array."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from benchmark.errors import SettingError
from benchmark.reproduction.cluster import ModelJob

_FORM = re.compile(r"(\d{1,6})/(\d{1,6})")
_SLURM_FORM = re.compile(r"slurm(?:/(?:([01])-)?(\d{1,6}))?")
_TASK, _COUNT, _FIRST, _LAST = (
    f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "MAX")
)
_FORMS = "give I/N with 1 <= I <= N, such as 2/8, or slurm/8 in a SLURM array of 8 tasks"


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` parts; ``index`` begins with 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str, variables: Mapping[str, str]) -> Self:
        """Return the shard of ``--shard``, which is ``I/N`` or that of a task of a SLURM array.

        With ``slurm/N`` the number of the task is the shard's, also if only some tasks are
        submitted again; ``slurm/0-7`` is for an array whose whole range begins with 0. With
        ``slurm`` the submitted array must be the whole one.

        Args:
            text: the value of the option.
            variables: the environment variables, which SLURM sets.

        Raises:
            SettingError: for another form, an index that is not in 1..N, a task of no array, and
                an array that is not the whole one.
        """
        if match := _SLURM_FORM.fullmatch(text):
            first, last = int(match[1] or 1), match[2]
            if last is None:
                return cls._of_whole_array(variables)
            return cls._of_slurm(text, first, int(last), variables)
        match = _FORM.fullmatch(text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise SettingError(f"--shard {text!r}: {_FORMS}")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def _of_slurm(cls, text: str, first: int, last: int, variables: Mapping[str, str]) -> Self:
        """Return the shard of a task of the array whose whole range is from first to last."""
        task = _numbers(text, variables, _TASK)[0]
        # The array's ends tell every task of it that the range is another one.
        seen = [task, *(int(v) for n in (_FIRST, _LAST) if (v := variables.get(n, "")).isdecimal())]
        if last < first or not all(first <= number <= last for number in seen):
            raise SettingError(
                f"--shard {text}: this is task {task} of an array from {min(seen)} to {max(seen)}, "
                f"not of one from {first} to {last}; give slurm/8 for --array=1-8, or slurm/0-7 "
                "for --array=0-7, with the range of the whole array"
            )
        return cls(task - first + 1, last - first + 1)

    @classmethod
    def _of_whole_array(cls, variables: Mapping[str, str]) -> Self:
        """Return the shard of a task of an array that is the whole one, as far as SLURM tells."""
        names = (_TASK, _COUNT, _FIRST, _LAST)
        task, count, first, last = _numbers("slurm", variables, *names)
        is_whole = first in {0, 1} and last - first + 1 == count and first <= task <= last
        if not is_whole or count == 1:
            raise SettingError(
                f"--shard slurm: task {task} of an array from {first} to {last}, of {count} in "
                "all: these may be some tasks of a larger array, submitted again; say how many the "
                "whole array has: slurm/8 for --array=1-8, or slurm/0-7 for --array=0-7"
            )
        return cls(task - first + 1, count)

    @property
    def words(self) -> str:
        """The shard as ``--shard`` takes it."""
        return f"{self.index}/{self.count}"


def _numbers(text: str, variables: Mapping[str, str], *names: str) -> list[int]:
    """Return the values of SLURM's variables.

    Raises:
        SettingError: if one is missing or no number.
    """
    for name in names:
        if not re.fullmatch(r"\d{1,9}", variables.get(name, ""), re.ASCII):
            raise SettingError(
                f"--shard {text}: {name} is not set as in a task of a SLURM array; start it with "
                "sbatch --array=1-N, or give --shard I/N"
            )
    return [int(variables[name]) for name in names]


def shard_of(jobs: Sequence[ModelJob], shard: Shard) -> list[ModelJob]:
    """Return the jobs of one shard, in their order.

    The longest job goes to the shard with the least planned time so far (longest processing time
    first: Graham, "Bounds on multiprocessing timing anomalies", 1969), so no shard takes more than
    4/3 of the shortest possible time. Every process that knows the jobs makes the same split.
    """
    seconds = [0.0] * shard.count
    own = set[str]()
    for job in sorted(jobs, key=lambda job: (-job.seconds, job.name)):
        least = min(range(shard.count), key=lambda index: (seconds[index], index))
        seconds[least] += job.seconds
        if least == shard.index - 1:
            own.add(job.name)
    return [job for job in jobs if job.name in own]
