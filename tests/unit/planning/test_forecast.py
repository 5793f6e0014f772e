"""What a plan says of models and pairs, on machines small and large."""

import pytest

from benchmark.errors import SettingError
from benchmark.models.hardware import Gpu
from benchmark.models.registry import registry
from benchmark.planning.architectures import configuration
from benchmark.planning.forecast import Machine, RunPlan, Wanted, forecast, machine, plan
from benchmark.planning.memory import Use, gpus_needed, memory
from benchmark.planning.planning import planning
from benchmark.planning.shape import shape

AS_IN_A_RUN = Wanted("bfloat16", batch_size=32, new_tokens=256)
H100 = "H100-80GB-SXM"


def _plan(on: Machine, how: Wanted = AS_IN_A_RUN) -> RunPlan:
    pairs = list(registry().pairs.values())
    groups = {pair.id: pair.base for pair in pairs}
    return plan(registry(), pairs, groups, on, how, others=registry().unpaired)


def test_every_model_once_and_every_pair() -> None:
    """All models, however many pairs share one and where none has it, and all pairs."""
    planned = _plan(machine(H100, 8))
    keys = [model.model.key for model in planned.models]
    assert sorted(keys) == sorted(registry().models)
    assert [pair.pair for pair in planned.pairs] == list(registry().pairs.values())
    assert all(pair.fits for pair in planned.pairs)
    assert sorted(slot.job.name for slot in planned.slots) == sorted(keys)


def test_what_does_not_fit_is_left_out_with_its_reason() -> None:
    """On one GPU of 24 GB the 70B models do not run, and their pairs say why."""
    planned = _plan(machine("RTX-4090", 1))
    pairs = {pair.pair.id: pair for pair in planned.pairs}
    assert pairs["code-gemma-2b"].fits
    assert not pairs["code-llama2-70b"].fits
    assert pairs["code-llama2-70b"].reasons[0].startswith("llama2-70b: takes ")
    assert not {"llama2-70b", "codellama-70b"} & {slot.job.name for slot in planned.slots}
    running = {slot.job.name for slot in planned.slots}
    assert running == {model.model.key for model in planned.models if model.fits}


@pytest.mark.parametrize("key", ["llama2-7b", "codellama-34b", "llama2-70b", "gemma-7b"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_batch_is_halved_only_as_far_as_needed(key: str, count: int) -> None:
    """The batch named fits, and twice as many rows do not, up to the batch wanted."""
    model, on = registry().model(key), machine("L40S", count)
    found = forecast(model, on, AS_IN_A_RUN)
    size = shape(configuration(model.huggingface_id))

    def fits(rows: int) -> bool:
        use = Use(rows, planning().workload.longest_prompt_tokens, 256)
        needed = gpus_needed(memory(size, found.dtype, use), on.memory)
        return needed is not None and needed <= count

    assert found.fits == fits(found.batch_size)
    if not found.fits:
        assert not any(fits(2**power) for power in range(6))
    elif found.batch_size < 32:
        assert not fits(2 * found.batch_size)


def test_quantization_is_the_registry_s_unless_a_dtype_is_asked_for() -> None:
    """The paper's 70B models are planned in 8 bit; --dtype holds for all."""
    model, on = registry().model("llama2-70b"), machine(H100, 4)
    assert forecast(model, on, AS_IN_A_RUN).dtype == "8bit"
    asked = Wanted("float16", 32, 256, quantize=False)
    assert forecast(model, on, asked).dtype == "float16"
    assert forecast(model, on, asked).memory.weights == 2 * 68_976_648_192


def test_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for holds; else the GPUs that torch sees, the smallest of them; else one."""
    assert machine("A100-40GB", 2, 30).memory == 30_000_000_000
    monkeypatch.setattr(
        "benchmark.planning.forecast.gpus", lambda: tuple(Gpu("g", size) for size in (50, 40, 60))
    )
    found = machine("L40S")
    assert (found.count, found.memory) == (3, 40)
    assert (machine("L40S", 2).count, machine("L40S", 2).memory) == (2, 48_000_000_000)
    monkeypatch.setattr("benchmark.planning.forecast.gpus", tuple)
    found = machine("L40S")
    assert (found.count, found.memory) == (1, 48_000_000_000)


def test_unknown_gpu() -> None:
    """It is refused with those whose figures are known."""
    with pytest.raises(SettingError, match="'TPU'; choose of H100-80GB-SXM, A100"):
        machine("TPU")


def test_a_faster_gpu_takes_less_time() -> None:
    """Of the same model at the same batch."""
    model = registry().model("mistral-7b")
    slow, fast = (
        forecast(model, machine(name, 1), AS_IN_A_RUN).decoding.at_least
        for name in ("A100-80GB-SXM", H100)
    )
    assert fast < slow
