"""Split the models of a reproduction into shards, such as the tasks of a SLURM array."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from benchmark.errors import SettingError
from benchmark.reproduction.cluster import ModelJob

_SLURM = "slurm"
_FORM = re.compile(r"(\d{1,6})/(\d{1,6})")
_TASK, _COUNT = "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"
_FIRST, _LAST, _STEP = (f"SLURM_ARRAY_TASK_{name}" for name in ("MIN", "MAX", "STEP"))


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` parts; ``index`` begins with 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str, variables: Mapping[str, str]) -> Self:
        """Return the shard of ``--shard I/N``; of ``slurm`` that of the array's task.

        Args:
            text: the value of the option.
            variables: the environment variables, which SLURM sets.

        Raises:
            SettingError: for another form, an index that is not in 1..N, and a task of no array.
        """
        if text == _SLURM:
            return cls._of_slurm(variables)
        match = _FORM.fullmatch(text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise SettingError(
                f"--shard {text!r}: give I/N with 1 <= I <= N, such as 2/8, or slurm"
            )
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def _of_slurm(cls, variables: Mapping[str, str]) -> Self:
        try:
            task, count = int(variables[_TASK]), int(variables[_COUNT])
            first, step = int(variables.get(_FIRST, 1)), int(variables.get(_STEP, 1))
            last = int(variables.get(_LAST, first + step * (count - 1)))
            index, rest = divmod(task - first, step)
        except (KeyError, ValueError, ZeroDivisionError) as error:
            raise SettingError(
                f"--shard slurm: {_TASK} and {_COUNT} are not those of a SLURM array; start it "
                "with sbatch --array=1-N, or give --shard I/N"
            ) from error
        if rest or not 0 <= index < count or (last - first) // step != count - 1:
            raise SettingError(
                f"--shard slurm: task {task} of an array from {first} to {last} with {count} "
                "tasks: it has gaps; use --array=1-N, or give --shard I/N"
            )
        return cls(index + 1, count)

    @property
    def words(self) -> str:
        """The shard as ``--shard`` takes it."""
        return f"{self.index}/{self.count}"


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
