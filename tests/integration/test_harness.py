"""The task in lm-evaluation-harness and in Inspect: their outcomes equal those of ``run``.

Each harness is run by its own command on control models, with its own transformers model, which
must equal the engine ``unconstrained``, and with the benchmark's engines.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmark.boxes.states import state_id
from benchmark.runs.data import load_states
from benchmark.runs.measure import run
from benchmark.runs.requests import DataRequest, Progress, RunRequest

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "fixtures" / "models"
HARNESS = ROOT / "benchmark" / "export" / "harness"
CONTROLS = ("track", "copy-a")
"""One tracks and one repeats the initial state: they are right about different queries."""
STATES = 48

Outcomes = Mapping[str, tuple[str, list[list[int]]]]
"""The text of each state, and (numops, right by set, right by exact) of its queries."""


def _needs(library: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(library) is None, reason=f"no {library}: nox -s harness")


def _ours(control: str, engine: str, out: Path, progress: Progress) -> Outcomes:
    request = RunRequest(
        str(MODELS / control),
        out,
        DataRequest(states=STATES),
        engine=engine,
        device="cpu",
        batch_size=16,
    )
    measured = run(request, progress)
    states = load_states(request.data)
    outcomes = (scored.outcomes for scored in measured.scores.values())
    return {
        state_id(state.description): (
            text,
            [
                list(map(int, row))
                for row in zip(by_set.numops, by_set.correct, exact.correct, strict=True)
            ],
        )
        for state, text, by_set, exact in zip(states, measured.texts, *outcomes, strict=True)
    }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Outcomes]:
    """``ours(control, engine)``: the outcomes of ``run``."""

    @cache
    def measured(control: str, engine: str) -> Outcomes:
        return _ours(control, engine, tmp_path_factory.mktemp(engine) / "run", _Silent())

    return measured


class _Silent:
    """A progress that shows nothing."""

    def say(self, text: str) -> None: ...
    def start(
        self, total: int, done: int, name: str = "", forecast: float | None = None
    ) -> None: ...
    def advance(self, states: int, right: object = None, memory: int | None = None) -> None: ...


def _command(*words: str | Path) -> str:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    environment["INSPECT_DISPLAY"] = "plain"
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("control", CONTROLS)
@_needs("lm_eval")
@pytest.mark.parametrize(
    ("model", "arguments", "engine"),
    [
        ("hf", "dtype=float32", "unconstrained"),
        ("entity-tracking", "protocol=default", "speculative"),
        ("entity-tracking", "engine=outlines", "outlines"),
    ],
)
def test_lm_eval(
    control: str,
    model: str,
    arguments: str,
    engine: str,
    ours: Callable[[str, str], Outcomes],
    tmp_path: Path,
) -> None:
    """Texts, outcomes and reported accuracies equal those of ``run``."""
    _command(
        *("-m", "benchmark.export.harness.lm_eval_model", "run", "--model", model),
        *(
            "--model_args",
            f"pretrained={MODELS / control},{arguments}",
            "--tasks",
            "entity_tracking_boxes",
        ),
        *("--metadata", json.dumps({"states": STATES}), "--device", "cpu", "--batch_size", "16"),
        *("--log_samples", "--output_path", tmp_path),
    )
    (samples,) = tmp_path.rglob("samples_*.jsonl")
    (results,) = tmp_path.rglob("results_*.json")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    theirs = {line["doc"]["id"]: (line["resps"][0][0], line["acc"]) for line in lines}
    assert theirs == ours(control, engine)
    reported = json.loads(results.read_text())["results"]["entity_tracking_boxes"]
    _check(
        {key.removesuffix(",none"): value for key, value in reported.items()}, ours(control, engine)
    )


@pytest.mark.parametrize("control", CONTROLS)
@_needs("inspect_ai")
@pytest.mark.parametrize(
    ("model", "arguments", "engine"),
    [
        ("hf/local", ["--model-config", HARNESS / "inspect_hf.yaml"], "unconstrained"),
        ("entity-tracking/track", [], "speculative"),
        ("entity-tracking/track", ["-M", "engine=outlines"], "outlines"),
    ],
)
def test_inspect(
    control: str,
    model: str,
    arguments: list[str | Path],
    engine: str,
    ours: Callable[[str, str], Outcomes],
    tmp_path: Path,
) -> None:
    """Texts, outcomes and reported accuracies equal those of ``run``."""
    _command(
        *("-m", "inspect_ai", "eval", f"{HARNESS / 'inspect_task.py'}@entity_tracking_boxes"),
        *(
            "--model",
            model,
            "-M",
            f"model_path={MODELS / control}",
            *arguments,
            "-T",
            f"states={STATES}",
        ),
        *("--log-dir", tmp_path, "--log-format", "json"),
    )
    (path,) = tmp_path.glob("*.json")
    log = json.loads(path.read_text())
    scores = {sample["id"]: sample["scores"]["boxes"] for sample in log["samples"]}
    theirs = {key: (score["answer"], score["metadata"]["queries"]) for key, score in scores.items()}
    assert theirs == ours(control, engine)
    (score,) = log["results"]["scores"]
    reported = {name: metric["value"] for name, metric in score["metrics"].items()}
    _check(reported, ours(control, engine))


def _check(reported: Mapping[str, float], ours: Outcomes) -> None:
    all_queries = [query for _, queries in ours.values() for query in queries]
    for column, name in ((1, "acc"), (2, "exact")):
        groups = {"": range(36), "_nontrivial": range(1, 36), "_numops_2": range(2, 3)}
        for group, numops in groups.items():
            correct = [query[column] for query in all_queries if query[0] in numops]
            assert reported[f"{name}{group}"] == pytest.approx(sum(correct) / len(correct))


@pytest.mark.skipif(find_spec("lm_eval") is not None, reason="lm_eval is installed")
def test_without_lm_eval() -> None:
    """If the harness is not installed, its command ends with one line and exit code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.export.harness.lm_eval_model", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error:")
    assert "docs/exports.md" in line
