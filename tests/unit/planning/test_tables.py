"""A plan as it is shown."""

import io
import json

import pytest
from rich.console import Console

from benchmark.models.registry import registry
from benchmark.planning.forecast import RunPlan, Wanted, machine, plan
from benchmark.planning.tables import duration, plan_as_json, plan_parts


def _plan(gpu: str, count: int) -> RunPlan:
    pairs = list(registry().pairs.values())
    groups = {pair.id: pair.base for pair in pairs}
    how, others = Wanted("bfloat16", 32, 256), registry().unpaired
    return plan(registry(), pairs, groups, machine(gpu, count), how, others=others)


def _shown(planned: RunPlan) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(*plan_parts(planned), sep="\n")
    return out.getvalue()


@pytest.mark.parametrize(("gpu", "count"), [("H100-80GB-SXM", 1), ("RTX-4090", 8)])
def test_it_is_80_columns_wide_and_complete(gpu: str, count: int) -> None:
    """No name is cut or wrapped: every model and every pair has its line."""
    text = _shown(_plan(gpu, count))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    first = [line.split()[0] for line in text.splitlines() if line.split()]
    assert set(registry().models) | set(registry().pairs) <= set(first)


def test_it_says_what_it_is() -> None:
    """That nothing was loaded, what is assumed, and how long all of it takes."""
    text = " ".join(_shown(_plan("L40S", 2)).split())
    assert text.startswith("2 GPUs of 48 GB, as fast as L40S")
    assert "nothing was loaded, fetched or measured" in text
    assert "at least 0.5 ms a layer and pass" in text
    assert "All of it: about" in text


def test_what_does_not_fit_has_no_time() -> None:
    """A model too large has a dash, its pair NO and the reason."""
    lines = _shown(_plan("RTX-4090", 1)).splitlines()
    row = next(line for line in lines if line.strip().startswith("llama2-70b "))
    assert row.split()[-1] == "-"
    pair = next(line for line in lines if line.strip().startswith("code-llama2-70b "))
    assert "NO" in pair.split()
    assert "llama2-70b: takes" in pair


def test_json_says_the_same() -> None:
    """Every model and pair, bytes and seconds, and what it all rests on."""
    planned = _plan("H100-80GB-SXM", 2)
    found = json.loads(json.dumps(plan_as_json(planned)))
    assert found["forecast"] is True
    assert found["models"].keys() == set(registry().models)
    assert found["pairs"].keys() == set(registry().pairs)
    needs = found["models"]["llama2-7b"]["memory"]
    assert needs["total"] == needs["weights"] + needs["cache"] + needs["working"]
    assert found["seconds"] == max(slot["start"] + slot["seconds"] for slot in found["order"])
    assert {"workload", "assumptions", "machine"} <= found.keys()


def _pinned(count: int) -> RunPlan:
    """A plan of the registry with so many models pinned."""
    models = {
        key: model.model_copy(update={"revision": "0" * 40 if number < count else ""})
        for number, (key, model) in enumerate(registry().models.items())
    }
    known = registry().model_copy(update={"models": models})
    pairs = list(known.pairs.values())
    how = Wanted("bfloat16", 32, 256)
    on = machine("H100-80GB-SXM", 1)
    return plan(known, pairs, {p.id: p.base for p in pairs}, on, how, others=known.unpaired)


def test_models_that_are_not_pinned() -> None:
    """They are counted, a few are named, and all of them are in the JSON."""
    total = len(registry().models)
    text = " ".join(_shown(_pinned(0)).split())
    assert f"{total} of {total} models are not pinned to a commit" in text
    assert f"and {total - 3} more (--json names all)." in text
    found = plan_as_json(_pinned(0))
    assert found["unpinned"] == [model.model.key for model in _pinned(0).models]
    last = list(registry().models)[-1]
    text = " ".join(_shown(_pinned(total - 1)).split())
    assert f"1 of {total} models are not pinned to a commit, so that the newest is" in text
    assert text.endswith(f"loaded: {last}.")
    assert "every model is pinned" in _shown(_pinned(total))
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
    """Rounded to what matters, without 60 s or 60 min."""
    assert duration(seconds) == words
