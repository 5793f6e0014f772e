"""What forecasts rest on beside the models: GPUs, the workload, assumptions; all data."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from benchmark.errors import SettingError
from benchmark.models.validation import Entry, valid

_FILE = "planning.toml"


class Flops(Entry):
    """Floating-point operations a second by dtype; float16 stands for bfloat16 as well."""

    float16: PositiveFloat
    float32: PositiveFloat


class GpuSpec(Entry):
    """Published figures of a GPU: memory in 10^9 bytes, bandwidth in bytes a second."""

    memory_gb: PositiveFloat
    bandwidth: PositiveFloat
    flops: Flops
    source: str

    @property
    def memory(self) -> int:
        """Its memory in bytes."""
        return int(self.memory_gb * 1e9)


class Drafted(Entry):
    """What decoding with drafts takes a state, with so many rows at once.

    ``tokens`` are all that are computed, of prompts, answers and rejected drafts;
    ``scored`` those after which a token is chosen among several.
    """

    batch_size: PositiveInt
    passes: PositiveFloat
    tokens: PositiveFloat
    scored: PositiveFloat


class Workload(Entry):
    """How much is asked of a model: states, and tokens of their prompts and answers.

    ``prompt_tokens`` and ``answer_tokens`` are means over states; ``..._of_batch`` means over
    batches of 32 of the longest in each, to which the others are padded, or for which they wait;
    ``longest_prompt_tokens`` the longest of all, ``shared_tokens`` what all begin with;
    ``drafted`` is what the default engine takes.
    """

    states: PositiveInt
    prompt_tokens: PositiveInt
    prompt_tokens_of_batch: PositiveInt
    longest_prompt_tokens: PositiveInt
    answer_tokens: PositiveInt
    answer_tokens_of_batch: PositiveInt
    shared_tokens: PositiveInt
    drafted: Annotated[tuple[Drafted, ...], Field(min_length=1)]

    def with_drafts(self, batch_size: int) -> Drafted:
        """What was measured at the nearest batch that is not larger, or at the smallest."""
        known = sorted(self.drafted, key=lambda drafted: drafted.batch_size)
        fitting = [drafted for drafted in known if drafted.batch_size <= batch_size]
        return fitting[-1] if fitting else known[0]


class Assumptions(Entry):
    """What is assumed and not measured; ``planning.toml`` says what each is."""

    context_bytes: int
    fragmentation: NonNegativeFloat
    weights_share: PositiveFloat
    seconds_a_layer: NonNegativeFloat
    disk_bytes_per_second: PositiveFloat


class Planning(Entry):
    """The whole file."""

    gpus: dict[str, GpuSpec]
    workload: Workload
    assumptions: Assumptions

    def gpu(self, name: str) -> GpuSpec:
        """The GPU of that name.

        Raises:
            SettingError: when its figures are not in the data.
        """
        if name not in self.gpus:
            raise SettingError(f"no figures of a GPU {name!r}; choose of {', '.join(self.gpus)}")
        return self.gpus[name]


@cache
def planning() -> Planning:
    """What comes with the benchmark."""
    text = files("benchmark.planning").joinpath(_FILE).read_text(encoding="utf-8")
    return valid(Planning, tomllib.loads(text), _FILE)
