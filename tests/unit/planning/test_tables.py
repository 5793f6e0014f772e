"""A plan as tables and as JSON."""

import io
import json

import pytest
from rich.console import Console

from benchmark.models.registry import registry
from benchmark.planning.forecast import ForecastOptions, RunPlan, machine, plan
from benchmark.planning.tables import duration, plan_as_json, plan_parts


def _plan(gpu: str, count: int) -> RunPlan:
    pairs = list(registry().pairs.values())
    options, others = ForecastOptions("bfloat16", 32, 256), registry().unpaired
    return plan(registry(), pairs, machine(gpu, count), options, others=others)


def _shown(planned: RunPlan) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(*plan_parts(planned), sep="\n")
    return out.getvalue()


@pytest.mark.parametrize(("gpu", "count"), [("H100-80GB-SXM", 1), ("RTX-4090", 8)])
def test_tables_are_80_columns_wide_and_complete(gpu: str, count: int) -> None:
    """Every model and every pair has its line, and no name is cut or wrapped."""
    text = _shown(_plan(gpu, count))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    first = [line.split()[0] for line in text.splitlines() if line.split()]
    assert set(registry().models) | set(registry().pairs) <= set(first)


def test_plan_states_its_assumptions() -> None:
    """The text says that nothing was loaded, what is assumed, and the total time."""
    text = " ".join(_shown(_plan("L40S", 2)).split())
    assert text.startswith("2 GPUs of 48 GB, as fast as L40S")
    assert "nothing was loaded, fetched or measured" in text
    assert "at least 0.5 ms per layer and pass" in text
    assert "Total: about" in text


def test_models_that_do_not_fit_have_no_time() -> None:
    """A model that is too large has a dash, its pair has NO and the reason."""
    lines = _shown(_plan("RTX-4090", 1)).splitlines()
    row = next(line for line in lines if line.strip().startswith("llama2-70b "))
    assert row.split()[-1] == "-"
    pair = next(line for line in lines if line.strip().startswith("code-llama2-70b "))
    assert "NO" in pair.split()
    assert "llama2-70b: needs" in pair


def test_json_has_the_complete_plan() -> None:
    """The document has every model and pair, bytes and seconds, and the assumptions."""
    planned = _plan("H100-80GB-SXM", 2)
    document = json.loads(json.dumps(plan_as_json(planned)))
    assert document["forecast"] is True
    assert document["models"].keys() == set(registry().models)
    assert document["pairs"].keys() == set(registry().pairs)
    needs = document["models"]["llama2-7b"]["memory"]
    assert needs["total"] == needs["weights"] + needs["cache"] + needs["working"]
    assert document["seconds"] == max(s["start"] + s["seconds"] for s in document["order"])
    assert {"workload", "assumptions", "machine"} <= document.keys()


def _pinned(count: int) -> RunPlan:
    """Return a plan of the registry with the first ``count`` models pinned."""
    models = {
        key: model.model_copy(update={"revision": "0" * 40 if number < count else ""})
        for number, (key, model) in enumerate(registry().models.items())
    }
    pinned = registry().model_copy(update={"models": models})
    pairs = list(pinned.pairs.values())
    options = ForecastOptions("bfloat16", 32, 256)
    return plan(pinned, pairs, machine("H100-80GB-SXM", 1), options, others=pinned.unpaired)


def test_models_that_are_not_pinned() -> None:
    """Unpinned models are counted, the first few are named, and the JSON lists all of them."""
    total = len(registry().models)
    text = " ".join(_shown(_pinned(0)).split())
    assert f"{total} of {total} models are not pinned to a commit" in text
    assert f"and {total - 3} more (--json lists all)." in text
    unpinned = plan_as_json(_pinned(0))["unpinned"]
    assert unpinned == [model.model.key for model in _pinned(0).models]
    last = list(registry().models)[-1]
    text = " ".join(_shown(_pinned(total - 1)).split())
    assert f"1 of {total} models are not pinned to a commit, so the newest is" in text
    assert text.endswith(f"loaded: {last}.")
    assert "every model is local or pinned" in _shown(_pinned(total))
    pinned = plan_as_json(_pinned(total))
    assert pinned["unpinned"] == []
    assert f'"revision": "{"0" * 40}"' in json.dumps(pinned)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (90, "2 min"),
        (3569, "59 min"),
        (3590, "1 h 00"),
        (11_100, "3 h 05"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    """A duration is rounded to its unit, and is never 60 s or 60 min."""
    assert duration(seconds) == words
