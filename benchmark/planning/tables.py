"""Show a plan as tables of at most 80 columns, and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict

from rich.console import RenderableType
from rich.table import Table

from benchmark.planning.forecast import ModelForecast, RunPlan
from benchmark.planning.memory import EIGHT_BIT
from benchmark.planning.planning import planning
from benchmark.planning.schedule import makespan
from benchmark.terminal import plain_table

_GB = 1e9
_MINUTE = 60
_NAMED = 3
"""The number of unpinned models to name; the JSON has all of them."""

_BITS = {"float32": "32", EIGHT_BIT: "8"}


def plan_parts(plan: RunPlan) -> Iterator[RenderableType]:
    """Yield the tables of models, pairs and order, and the assumptions behind them."""
    machine = plan.machine
    gpus = f"{machine.count} GPU" + ("s" if machine.count > 1 else "")
    gpus = f"{machine.nodes} nodes with {gpus}" if machine.nodes > 1 else gpus
    yield _models(
        plan, f"{gpus} of {machine.memory / _GB:.0f} GB, as fast as {machine.name}; memory in GB"
    )
    yield from (f"No forecast of {model.model.key}: {model.reason}" for model in plan.unplanned)
    yield _pairs(plan)
    if plan.slots:
        yield _order(plan)
        yield f"Total: about {duration(makespan(plan.slots))}."
    yield _basis(plan)
    yield _pinning(plan)


def plan_as_json(plan: RunPlan) -> dict[str, object]:
    """Return the plan as a document, in bytes and seconds."""
    return {
        "forecast": True,
        "machine": {
            "gpu": plan.machine.name,
            "gpus": plan.machine.count,
            "nodes": plan.machine.nodes,
            "memory": plan.machine.memory,
            "source": plan.machine.gpu.source,
        },
        "models": {model.model.key: _model_as_json(model) for model in plan.models},
        "pairs": {p.pair.id: {"fits": p.fits, "reasons": p.reasons} for p in plan.pairs},
        "order": [
            {
                "model": s.job.name,
                "start": s.start,
                "seconds": s.job.seconds,
                "gpus": s.gpus,
                "node": s.node,
            }
            for s in plan.slots
        ],
        "seconds": makespan(plan.slots),
        "unplanned": {model.model.key: model.reason for model in plan.unplanned},
        "unpinned": list(plan.unpinned),
        "workload": planning().workload.model_dump(),
        "assumptions": planning().assumptions.model_dump(),
    }


def duration(seconds: float) -> str:
    """Return a time rounded to the unit that matters: ``45 s``, ``12 min``, ``3 h 05``."""
    if round(seconds) < _MINUTE:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / _MINUTE), 60)
    return f"{hours} h {minutes:02}" if hours else f"{minutes} min"


def _models(plan: RunPlan, title: str) -> Table:
    table = plain_table(title)
    table.add_column("model", overflow="fold")
    for name in ("bits", "weights", "total", "GPUs", "batch", "about", "plain"):
        table.add_column(name, justify="right", style="bold" if name == "GPUs" else "")
    for model in plan.models:
        needs = model.memory
        table.add_row(
            model.model.key,
            _BITS.get(model.dtype, "16"),
            *(f"{size / _GB:.1f}" for size in (needs.weights, needs.total)),
            "-" if model.gpus is None else str(model.gpus),
            str(model.batch_size),
            *(
                duration(seconds) if model.fits else "-"
                for seconds in (model.seconds, model.plain_seconds)
            ),
        )
    return table


def _pairs(plan: RunPlan) -> Table:
    fitting = sum(pair.fits for pair in plan.pairs)
    table = plain_table(f"{fitting} of {len(plan.pairs)} pairs fit")
    table.add_column("pair")
    table.add_column("fits")
    table.add_column("too large or unknown")
    for pair in plan.pairs:
        table.add_row(pair.pair.id, "yes" if pair.fits else "NO", "; ".join(pair.reasons))
    return table


def _order(plan: RunPlan) -> Table:
    table = plain_table("Order")
    table.add_column("from", justify="right")
    several = plan.machine.nodes > 1
    if several:
        table.add_column("node", justify="right")
    table.add_column("GPUs")
    table.add_column("model")
    table.add_column("for about", justify="right")
    for slot in plan.slots:
        places = [str(slot.node)] if several else []
        places.append(",".join(map(str, slot.gpus)))
        table.add_row(duration(slot.start), *places, slot.job.name, duration(slot.job.seconds))
    return table


def _basis(plan: RunPlan) -> str:
    work, assumed = planning().workload, planning().assumptions
    return (
        "A forecast from configurations: nothing was loaded, fetched or measured.\n"
        f"Memory: prompts of {work.longest_prompt_tokens} tokens and as many new ones as allowed; "
        f"the batch is halved until it fits.\nTime: {work.states} states, a roofline from the "
        f"{plan.machine.gpu.source}; assumed: at least {1000 * assumed.seconds_a_layer:g} ms per "
        f"layer and pass, weights read at {assumed.disk_bytes_per_second / _GB:g} GB per second. "
        "Downloads from the hub are not included.\n"
        "About: the default engine, with the drafts and answers of a weak model; plain: one pass "
        "per token, like the paper."
    )


def _pinning(plan: RunPlan) -> str:
    """Name the models that are loaded at the newest commit of their repository."""
    unpinned, total = plan.unpinned, len(plan.models) + len(plan.unplanned)
    if not unpinned:
        return "Revisions: every model is local or pinned to a commit of its repository."
    named = ", ".join(unpinned[:_NAMED])
    more = f" and {len(unpinned) - _NAMED} more (--json lists all)"
    return (
        f"Revisions: {len(unpinned)} of {total} models are not pinned to a commit, so the newest "
        f"is loaded: {named}{more if len(unpinned) > _NAMED else ''}."
    )


def _model_as_json(model: ModelForecast) -> dict[str, object]:
    return {
        "huggingface_id": model.model.huggingface_id,
        "revision": model.model.revision or None,
        "dtype": model.dtype,
        "parameters": model.parameters,
        "batch_size": model.batch_size,
        "memory": {**asdict(model.memory), "total": model.memory.total},
        "gpus": model.gpus,
        "fits": model.fits,
        "seconds": {
            "decoding_at_least": model.decoding.at_least,
            "decoding": model.decoding.expected,
            "plain_at_least": model.plain.at_least,
            "plain": model.plain.expected,
            "loading": model.loading,
            "total": model.seconds,
        },
    }
