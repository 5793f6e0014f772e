"""The data of forecasts in addition to the models: GPUs, the workload and assumptions."""

from functools import cache

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from benchmark.errors import SettingError
from benchmark.models.validation import Entry, Items, validate
from benchmark.package_data import package_toml

_FILE = "planning.toml"


class Flops(Entry):
    """Floating-point operations per second by dtype; ``float16`` is also for bfloat16."""

    float16: PositiveFloat
    float32: PositiveFloat


class GpuSpec(Entry):
    """Published figures of a GPU: memory in 10^9 bytes, bandwidth in bytes per second."""

    memory_gb: PositiveFloat
    bandwidth: PositiveFloat
    flops: Flops
    source: str

    @property
    def memory(self) -> int:
        """The memory in bytes."""
        return int(self.memory_gb * 1e9)


class DraftingCost(Entry):
    """The cost per state of decoding with drafts, at one batch size.

    ``tokens`` are all computed tokens: of prompts, answers and rejected drafts. ``scored`` are the
    positions at which a token is chosen among several.
    """

    batch_size: PositiveInt
    passes: PositiveFloat
    tokens: PositiveFloat
    scored: PositiveFloat


class Workload(Entry):
    """The work of one run: the number of states, and tokens of their prompts and answers.

    ``prompt_tokens`` and ``answer_tokens`` are means over states. ``..._of_batch`` are means over
    batches of 32 of the longest in each, to which prompts are padded or for which answers wait.
    ``longest_prompt_tokens`` is the longest prompt, ``shared_tokens`` the common beginning of all
    prompts, and ``drafted`` the cost of the default engine.
    """

    states: PositiveInt
    prompt_tokens: PositiveInt
    prompt_tokens_of_batch: PositiveInt
    longest_prompt_tokens: PositiveInt
    answer_tokens: PositiveInt
    answer_tokens_of_batch: PositiveInt
    shared_tokens: PositiveInt
    drafted: Items[DraftingCost] = Field(min_length=1)

    def with_drafts(self, batch_size: int) -> DraftingCost:
        """Return the cost at the largest measured batch size up to this one, else the smallest."""
        by_size = sorted(self.drafted, key=lambda cost: cost.batch_size)
        fitting = [cost for cost in by_size if cost.batch_size <= batch_size]
        return fitting[-1] if fitting else by_size[0]


class Assumptions(Entry):
    """Assumed, unmeasured figures; ``planning.toml`` explains them."""

    context_bytes: int
    fragmentation: NonNegativeFloat
    weights_share: PositiveFloat
    seconds_a_layer: NonNegativeFloat
    disk_bytes_per_second: PositiveFloat
    hub_bytes_per_second: PositiveFloat


class CpuFigures(Entry):
    """Measured figures of decoding on CPUs; ``planning.toml`` explains them."""

    products_share: PositiveFloat


class Planning(Entry):
    """The contents of ``planning.toml``."""

    gpus: dict[str, GpuSpec]
    workload: Workload
    assumptions: Assumptions
    cpu: CpuFigures

    def gpu(self, name: str) -> GpuSpec:
        """Return the GPU of that name.

        Raises:
            SettingError: if it is not in the data.
        """
        if name not in self.gpus:
            raise SettingError(f"unknown GPU {name!r}; choose one of {', '.join(self.gpus)}")
        return self.gpus[name]


@cache
def pass_tokens() -> int:
    """Return the number of tokens from which on the default engine adds no prompt to a pass."""
    costs = package_toml("decoding/speculative/cost_model.toml")
    return int(costs["cuda"]["tokens"])


@cache
def planning() -> Planning:
    """Return the benchmark's own planning data."""
    return validate(Planning, package_toml("planning/planning.toml"), _FILE)
