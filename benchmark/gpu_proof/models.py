"""Stages that decode with widened controls, whose answers are known."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmark.controls.widen import widen
from benchmark.decoding.engines import compile_constraint
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.pass_costs import fitted, passes
from benchmark.gpu_proof.decoding import (
    Decoded,
    LoadedModel,
    batch_of,
    certified,
    decode,
    decode_backing_off,
    load,
)
from benchmark.gpu_proof.plan import Context, architecture
from benchmark.gpu_proof.report import StageReport
from benchmark.models.gpus import peak_gpu_memory, reset_peak_gpu_memory
from benchmark.planning.memory import memory
from benchmark.planning.shape import shape
from benchmark.tasks import DEFAULT, task_named

BATCH = 32
_FITTING = 8
"""The batch size that memory is left for in the stage ``back-off``."""

_REPEATS = 3
"""How often each size of pass is timed; the shortest counts."""

_DIFFERING = 0.1
"""The largest share of answers that rounding of the weights to 16 bit may change."""

_POINTS = 0.02
"""How far the share of right boxes may be off from the control's."""


def widened(context: Context, report: StageReport) -> None:
    """Write, load and measure a model of real size, and compare its answers with the control's."""
    states = context.sizes.states
    known = decode(load(context.control, context.device, "float32"), states, "speculative", BATCH)
    report.figure(control=known.figures())
    folder, seconds = wide_folder(context)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    report.figure(written_gb=round(size / 1e9, 2), write_seconds=round(seconds, 1))
    reset_peak_gpu_memory(context.device)
    loaded = load(folder, context.device, _dtype(context))
    report.figure(
        load_seconds=round(loaded.seconds, 1), disk_bytes_per_second=round(size / loaded.seconds)
    )
    decode(loaded, context.sizes.few_states, "speculative", BATCH)  # compiles and allocates
    measured = decode(loaded, states, "speculative", BATCH)
    report.figure(speculative=measured.figures())
    _check_memory(context, report, loaded, states)
    _check_answers(context, report, known, measured)
    _measure_passes(report, loaded)


def _measure_passes(report: StageReport, loaded: LoadedModel) -> None:
    """Time passes of several sizes, for the engine's cost model and for `plan`."""
    expression = task_named(DEFAULT).expression
    constraint = compile_constraint(expression, loaded.tokenizer, loaded.model)
    automaton = Automaton.from_constraint(constraint, loaded.tokenizer.token_bytes)
    timed = list(passes(loaded.model, automaton, _REPEATS))
    costs = fitted(timed)
    shortest = min(size.seconds for size in timed)
    report.figure(
        pass_seconds={f"{size.rows} rows, {size.tokens} tokens": size.seconds for size in timed},
        seconds_a_layer=shortest / loaded.model.config.num_hidden_layers,
        fixed=round(costs.fixed, 1),
        per_row=round(costs.per_row, 2),
        fit_is_off_by=round(costs.spread, 2),
    )


def wide_folder(context: Context) -> tuple[Path, float]:
    """Return the folder of the widened control, and the seconds it took to write it."""
    folder = context.models / "wide"
    started = time.perf_counter()
    if not (folder / "config.json").is_file():
        widen(context.control, architecture(context.sizes.wide), folder, dtype=_dtype(context))
    return folder, time.perf_counter() - started


def _dtype(context: Context) -> str:
    return "float32" if context.rehearsal else "bfloat16"


def _check_memory(context: Context, report: StageReport, loaded: LoadedModel, states: int) -> None:
    """Compare the peak of memory with the forecast for these prompts."""
    batch = batch_of(loaded, states, BATCH)
    forecast = memory(shape(loaded.model.config), _dtype(context), batch).total
    report.figure(forecast_gb=round(forecast / 1e9, 2))
    if peak := peak_gpu_memory(context.device):
        report.figure(peak_gb=round(peak / 1e9, 2))
        report.check("the peak of memory is within the forecast", peak <= forecast)


def _check_answers(
    context: Context, report: StageReport, known: Decoded, measured: Decoded
) -> None:
    differing = known.differing(measured)
    report.figure(differing_states=differing)
    count = len(measured.completions)
    report.check("every state is answered", count == len(known.completions))
    if context.rehearsal:
        report.check("every answer is the control's", not differing)
        return
    report.check(
        f"at most {_DIFFERING:.0%} of the answers differ from the control's in float32",
        len(differing) <= _DIFFERING * count,
    )
    apart = abs(measured.correct - known.correct) / measured.boxes
    report.check(f"its score is the control's within {_POINTS:.0%}", apart <= _POINTS)


def outlines(context: Context, report: StageReport) -> None:
    """Time the paper's method in batches of 32 and of 1 next to the default engine."""
    folder, _ = wide_folder(context)
    loaded = load(folder, context.device, _dtype(context))
    sizes = context.sizes
    for batch_size, states in ((BATCH, sizes.outlines_states), (1, sizes.single_states)):
        own = decode(loaded, states, "speculative", batch_size)
        theirs = decode(loaded, states, "outlines", batch_size)
        differing = own.differing(theirs)
        ratio = theirs.seconds / own.seconds
        report.figure(
            **{
                f"speculative_{batch_size}": own.figures(),
                f"outlines_{batch_size}": theirs.figures(),
                f"ratio_{batch_size}": round(ratio, 2),
                f"differing_{batch_size}": differing,
            }
        )
        for name, decoded in (("speculative", own), ("outlines", theirs)):
            certificate = certified(loaded, decoded)
            report.figure(
                **{
                    f"{name}_{batch_size}_near_ties": certificate.near_ties,
                    f"{name}_{batch_size}_choices": certificate.choices,
                }
            )
            report.check(
                f"{name} at {batch_size}: every answer is the model's greedy choice, or a near tie",
                certificate.certified,
            )
        if context.rehearsal:
            report.check(f"the answers at {batch_size} are the same", not differing)


def back_off(context: Context, report: StageReport) -> None:
    """Let memory run out for batches of 32 and 16, and compare the answers."""
    folder, _ = wide_folder(context)
    loaded = load(folder, context.device, _dtype(context))
    states = context.sizes.back_off_states
    eight = decode(loaded, states, "speculative", _FITTING)
    with _failing(loaded) if context.rehearsal else _too_little_memory(loaded, states, report):
        limited = decode_backing_off(loaded, states, BATCH)
    report.figure(sizes=list(limited.sizes), **limited.figures())
    report.check("the batches were 32, 16 and 8", limited.sizes == (BATCH, 16, _FITTING))
    report.check("the answers are those of batches of 8", not eight.differing(limited))


@contextmanager
def _too_little_memory(loaded: LoadedModel, states: int, report: StageReport) -> Iterator[None]:
    """Limit the memory of this process to what batches of 8 take, and not those of 16."""
    device, peaks = loaded.options.device, []
    for batch_size in (_FITTING, 16):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        decode(loaded, states, "speculative", batch_size)
        peaks.append(torch.cuda.max_memory_reserved(device))
    report.figure(reserved_8_gb=peaks[0] / 1e9, reserved_16_gb=peaks[1] / 1e9)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(sum(peaks) / 2 / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@contextmanager
def _failing(loaded: LoadedModel) -> Iterator[None]:
    """Let the first pass of two batch sizes run out of memory, where there is no GPU."""
    failures = iter(range(2))

    def fail(*_: object) -> None:
        if next(failures, None) is not None:
            raise torch.OutOfMemoryError("out of memory, in a rehearsal")

    hook = loaded.model.register_forward_pre_hook(fail)
    try:
        yield
    finally:
        hook.remove()


def device_hops(context: Context, report: StageReport) -> None:
    """Put half of the layers on the CPU, and compare the answers."""
    from accelerate import dispatch_model  # type: ignore[import-untyped]

    folder = context.models / "spread"
    if not (folder / "config.json").is_file():
        widen(context.control, architecture(context.sizes.spread), folder, dtype="float32")
    states = context.sizes.few_states
    loaded = load(folder, "cpu", "float32")
    expected = decode(loaded, states, "speculative", BATCH)
    layers = loaded.model.config.num_hidden_layers
    first = "cpu" if context.rehearsal else "cuda:0"
    places: dict[str, str] = {
        f"model.layers.{n}": first if n < layers // 2 else "cpu" for n in range(layers)
    }
    places |= {"model.embed_tokens": first, "model.rotary_emb": first}
    places |= {"model.norm": "cpu", "lm_head": "cpu"}
    # With a GPU as the main device all layers would run there, the CPU's by moving their weights.
    dispatch_model(loaded.model, device_map=places, main_device="cpu", force_hooks=True)
    devices = sorted({str(parameter.device) for parameter in loaded.model.parameters()})
    spread = decode(loaded, states, "speculative", BATCH)
    report.check("the layers are on both devices", devices == sorted({first, "cpu"}))
    report.check("the default engine takes the model", "engine" not in spread.composition)
    report.figure(states=states, layers=layers, differing=expected.differing(spread))
    report.check("the answers are those on one device", not expected.differing(spread))
