"""Forecasts of models and pairs on small and large machines."""

import pytest

from benchmark.errors import SettingError
from benchmark.models.gpus import Gpu
from benchmark.models.registry import registry
from benchmark.planning.architectures import configuration
from benchmark.planning.forecast import ForecastOptions, Machine, RunPlan, forecast, machine, plan
from benchmark.planning.memory import DecodingBatch, gpus_needed, memory
from benchmark.planning.planning import pass_tokens, planning
from benchmark.planning.shape import shape

OPTIONS = ForecastOptions("bfloat16", batch_size=32, new_tokens=256)
H100 = "H100-80GB-SXM"


def _plan(on: Machine) -> RunPlan:
    pairs = list(registry().pairs.values())
    return plan(registry(), pairs, on, OPTIONS, others=registry().unpaired)


def test_plan_has_every_model_once_and_every_pair() -> None:
    """A model is planned once even if several pairs share it or no pair has it."""
    planned = _plan(machine(H100, 8))
    keys = [model.model.key for model in planned.models]
    assert sorted(keys) == sorted(registry().models)
    assert [pair.pair for pair in planned.pairs] == list(registry().pairs.values())
    assert all(pair.fits for pair in planned.pairs)
    assert sorted(slot.job.name for slot in planned.slots) == sorted(keys)


def test_models_that_do_not_fit_are_left_out_with_a_reason() -> None:
    """On one GPU of 24 GB the 70B models are not scheduled, and their pairs give the reason."""
    planned = _plan(machine("RTX-4090", 1))
    pairs = {pair.pair.id: pair for pair in planned.pairs}
    assert pairs["code-gemma-2b"].fits
    assert not pairs["code-llama2-70b"].fits
    assert pairs["code-llama2-70b"].reasons[0].startswith("llama2-70b: needs ")
    assert not {"llama2-70b", "codellama-70b"} & {slot.job.name for slot in planned.slots}
    running = {slot.job.name for slot in planned.slots}
    assert running == {model.model.key for model in planned.models if model.fits}


@pytest.mark.parametrize("key", ["llama2-7b", "codellama-34b", "llama2-70b", "gemma-7b"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_fewest_gpus_for_enough_rows(key: str, count: int) -> None:
    """One GPU less holds fewer than 8 rows, and the batch is halved only as far as needed."""
    model, gpus = registry().model(key), machine("L40S", count)
    forecasted = forecast(model, gpus, OPTIONS)
    size = shape(configuration(model.huggingface_id))
    work = planning().workload

    def holds(gpus_used: int, rows: int) -> bool:
        batch = DecodingBatch(
            rows, work.longest_prompt_tokens, 256, work.shared_tokens, pass_tokens()
        )
        needed = gpus_needed(memory(size, forecasted.dtype, batch), gpus.memory)
        return needed is not None and needed <= gpus_used

    rows = forecasted.batch_size
    if not forecasted.fits:
        assert not any(holds(count, 2**power) for power in range(6))
        return
    assert forecasted.gpus is not None
    assert forecasted.gpus <= count
    assert holds(forecasted.gpus, rows)
    assert rows == OPTIONS.batch_size or not holds(forecasted.gpus, 2 * rows)
    assert not holds(forecasted.gpus - 1, 8)
    assert rows >= 8 or not holds(count, 2 * rows)


def test_the_registrys_quantization_is_the_papers_only() -> None:
    """Under the default protocol 70B models are planned in 16 bit."""
    model, gpus = registry().model("llama2-70b"), machine(H100, 4)
    forecasted = forecast(model, gpus, OPTIONS)
    assert (forecasted.dtype, forecasted.gpus) == ("bfloat16", 2)
    assert forecasted.memory.weights == 2 * 68_976_648_192
    eight_bit = forecast(model, gpus, ForecastOptions("8bit", 1, 256, drafts=False))
    assert (eight_bit.gpus, eight_bit.batch_size) == (1, 1)
    assert eight_bit.decoding == eight_bit.plain


def test_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPUs are those of the arguments, else those that torch sees, else a single one."""
    assert machine("A100-40GB", 2, 30).memory == 30_000_000_000
    monkeypatch.setattr(
        "benchmark.planning.forecast.gpus", lambda: tuple(Gpu("g", size) for size in (50, 40, 60))
    )
    visible = machine("L40S")
    assert (visible.count, visible.memory) == (3, 40)
    assert (machine("L40S", 2).count, machine("L40S", 2).memory) == (2, 48_000_000_000)
    monkeypatch.setattr("benchmark.planning.forecast.gpus", tuple)
    single = machine("L40S")
    assert (single.count, single.memory) == (1, 48_000_000_000)


def test_unknown_gpu() -> None:
    """An unknown GPU is refused, and the message lists the known ones."""
    with pytest.raises(SettingError, match="unknown GPU 'TPU'; choose one of H100-80GB-SXM, A100"):
        machine("TPU")


def test_a_faster_gpu_takes_less_time() -> None:
    """The same model at the same batch size has a lower bound that falls with the GPU's speed."""
    model = registry().model("mistral-7b")
    slow, fast = (
        forecast(model, machine(name, 1), OPTIONS).decoding.at_least
        for name in ("A100-80GB-SXM", H100)
    )
    assert fast < slow
