"""Seeded faults are found at their stage with the right suspect; without one there is no alarm."""

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.boxes.dataset import rows
from benchmark.decoding import constraint_trace, teacher_forcing
from benchmark.decoding.log_probs import TokenLogProbs
from benchmark.decoding.speculative import compatibility
from benchmark.fingerprints import record_run, run_environment, stages
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import EXIT_STATUSES, FingerprintDiff, Severity
from benchmark.fingerprints.logits import RESOLUTION
from benchmark.fingerprints.noise import noise_floor
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.models.hardware import torch_threads
from benchmark.prompts import rendering
from benchmark.runs import resolution
from benchmark.runs.data import load_states
from benchmark.runs.environment import code_digests, variables, versions
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from benchmark.scoring import outcomes
from fakes import faults

ROOT = Path(__file__).parents[2]
CATALOGUE = tomllib.loads((ROOT / "fixtures" / "faults.toml").read_text())
STATES = 4
MORE = 5
MANY = 64
WEAK = 49
"""The number of the state with a weak fault."""
REPEATS = int(os.environ.get("NOISE_REPEATS", "15"))
BY_OUTLINES = REPEATS // 10
"""The number of repeats by the paper's engine."""

ENGINES = ("outlines", "speculative")
DECODING = {"constraint", "weights", "logits", "generated_ids"}
"""The stages that depend on the engine."""

CASES = [
    (name, engine)
    for name, fault in CATALOGUE.items()
    for engine in ENGINES
    if engine == fault.get("engine", engine if fault["stage"] in DECODING else ENGINES[0])
]

INNOCENT = {
    "library": ("python", "numpy", "safetensors", "jinja2", "scipy", "outlines_core", "torch"),
    "setting": ("python", "numpy", "safetensors", "jinja2", "scipy", "outlines_core", "torch"),
    "code": ("scipy", "safetensors", "outlines_core", "torch"),
}
"""Unrelated libraries that change together with the cause, by the cause's kind.

With a file as the cause, python, numpy and jinja2 are left out: they affect such stages directly.
"""

INNOCENT_CODE = ("cli/run.py", "runs/result_table.py", "stats/paired.py", "planning/memory.py")
INNOCENT_SETTINGS = {"OMP_PROC_BIND": "true", "MKL_VERBOSE": "1"}
"""Variables of the process that change together with the cause."""


@dataclass(frozen=True)
class Baseline:
    """A run without a fault, and its record with the noise floor."""

    run: RunRequest
    record: Fingerprint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few states in a file, so that they are not generated for every record."""
    return _written(tmp_path_factory, MORE)


def _written(tmp_path_factory: pytest.TempPathFactory, number: int) -> Path:
    path = tmp_path_factory.mktemp("data") / "states.jsonl"
    states = load_states(DataRequest(seed=0, states=number))
    path.write_text("".join(f"{row}\n" for state in states for row in rows(state)))
    return path


@pytest.fixture(scope="module")
def baselines(data: Path) -> dict[str, Baseline]:
    """The records of a control model that makes many errors, by both engines."""
    return {engine: _baseline(data, STATES, engine) for engine in ENGINES}


def _baseline(data: Path, states: int, engine: str) -> Baseline:
    run = RunRequest(
        model=str(ROOT / "fixtures" / "models" / "copy-a"),
        out=Path(),
        data=DataRequest(data, states=states),
        engine=engine,
        device="cpu",
        batch_size=states,
    )
    return Baseline(run, fingerprint(FingerprintRequest(run, repeats=1), Quiet()))


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_fault_is_located_and_explained(
    name: str,
    engine: str,
    baselines: dict[str, Baseline],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The first changed stage, the severity and the first suspect are those of the catalogue.

    Unrelated libraries, files and variables change together with every cause.
    """
    expected, baseline = CATALOGUE[name], baselines[engine]
    kind, _, cause = expected["cause"].partition(" ")
    _report_changes(monkeypatch, kind, cause)
    run = getattr(faults, expected["inject"])(monkeypatch, baseline.run, tmp_path)
    comparison = _compared(baseline, run)
    assert comparison.severity in expected["severity"].split(" or ")
    assert comparison.stage == expected["stage"]
    assert bool(comparison.failed) == expected.get("fails", False)
    assert (comparison.suspects[0].kind, comparison.suspects[0].name) == (kind, cause)
    assert comparison.suspects[0].changed
    assert {suspect.kind for suspect in comparison.suspects[1:] if suspect.changed} >= {
        "library",
        "setting",
    }
    assert comparison.exit_status == EXIT_STATUSES[comparison.severity]
    assert comparison.exit_status not in {0, 1, 2}


def test_documented_table_equals_the_catalogue() -> None:
    """docs/faults.md has a row per fault."""
    rows_ = []
    for name, entry in CATALOGUE.items():
        engines = ", ".join(engine for fault_, engine in CASES if fault_ == name)
        done = (getattr(faults, entry["inject"]).__doc__ or "").rstrip(".")
        severity = entry["severity"] + " (the stage fails)" * entry.get("fails", False)
        rows_.append(
            f"| {name} | {done} | {engines} | {entry['stage']} | {severity} | {entry['cause']} |"
        )
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows_of_six = re.findall(r"^\| [a-z0-9-]+ (?:\|[^|\n]*){5}\|$", text, re.MULTILINE)
    assert rows_of_six[1:] == rows_
    assert f"{len(CATALOGUE)} faults, {len(CASES)} cases" in text


def test_no_false_alarms(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats, each with its own batches, one in ten on two threads, are noise."""
    _load_once(monkeypatch)
    baselines = {engine: _baseline(data, MORE, engine) for engine in ENGINES}
    alarms, seen = [], set()
    for number, (size, order) in enumerate(_distinct(np.random.Generator(np.random.PCG64(5)))):
        baseline = baselines["outlines" if number < BY_OUTLINES else "speculative"]
        run = replace(baseline.run, batch_size=size)
        with torch_threads(2 if number % 10 == 5 else 1):
            comparison = _compared(baseline, run, order)
        seen.add(_batches(size, order))
        if comparison.severity not in {Severity.SAME, Severity.NOISE}:
            alarms.append((number, size, order, comparison.as_json()))
    assert not alarms
    assert len(seen) == REPEATS


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    """The record of many states."""
    return _baseline(_written(tmp_path_factory, MANY), MANY, "speculative")


def _prompt(patch: pytest.MonkeyPatch, limit: float) -> None:
    """Add a space to one prompt."""
    _nth(patch, rendering, "completion", WEAK, lambda text: text.replace("Box 0", "Box  0", 1))


def _tokens(patch: pytest.MonkeyPatch, limit: float) -> None:
    """Change the last token of one prompt."""
    _nth(
        patch,
        rendering,
        "prompt",
        WEAK,
        lambda prompt: replace(prompt, token_ids=(*prompt.token_ids[:-1], prompt.token_ids[-2])),
    )


def _constraint(patch: pytest.MonkeyPatch, limit: float) -> None:
    """Change the allowed set at one token of one answer."""
    _nth(
        patch,
        constraint_trace.ConstraintTrace,
        "set_numbers",
        WEAK,
        lambda sets: (*sets[:9], sets[0], *sets[10:]),
    )


def _logits(patch: pytest.MonkeyPatch, limit: float) -> None:
    """Raise one log-probability by a tenth more than the floor, in whole steps."""
    _one_value(patch, RESOLUTION * ceil(1.1 * limit / RESOLUTION))


def _outcome(patch: pytest.MonkeyPatch, limit: float) -> None:
    """Flip the outcome of one query of 448."""
    _nth(
        patch,
        outcomes.Score,  # the states are scored by set first
        "outcome",
        WEAK,
        lambda outcome: replace(outcome, correct=(not outcome.correct[0], *outcome.correct[1:])),
    )


@pytest.mark.parametrize(
    ("weaken", "stage", "severity"),
    [
        (_prompt, "prompt", "drift"),
        (_tokens, "prompt_ids", None),
        (_constraint, "constraint", "drift"),
        (_logits, "logits", "drift"),
        (_outcome, "outcome", "regression"),
    ],
)
def test_fault_in_one_state_of_many(
    weaken: Callable[[pytest.MonkeyPatch, float], None],
    stage: str,
    severity: str | None,
    many: Baseline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is found at its stage, in that state and no other."""
    weaken(monkeypatch, noise_floor(many.record.repeats).largest)
    comparison = _compared(many, many.run)
    assert comparison.stage == stage
    assert (comparison.changed[0].states, comparison.changed[0].of) == ((WEAK,), MANY)
    assert severity in {comparison.severity, None}


def test_one_value_within_the_floor_is_noise(
    many: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change a tenth below the floor is noise."""
    limit = noise_floor(many.record.repeats).largest
    _one_value(monkeypatch, RESOLUTION * int(0.9 * limit / RESOLUTION))
    comparison = _compared(many, many.run)
    assert comparison.severity is Severity.NOISE
    assert [(diff.stage, diff.states) for diff in comparison.stage_diffs] == [("logits", (WEAK,))]


def _one_value(patch: pytest.MonkeyPatch, by: float) -> None:
    """Raise one log-probability of one answer by ``by`` nats.

    The change is a whole number of steps, since a record rounds to its resolution.
    """
    forced = teacher_forcing.teacher_forced_log_probs

    def touched(*arguments: Any, **more: Any) -> Iterator[list[TokenLogProbs]]:  # noqa: ANN401
        rows = [row for batch in forced(*arguments, **more) for row in batch]
        values = rows[WEAK].values.copy()
        values[7, 0] += by
        yield [*rows[:WEAK], rows[WEAK]._replace(values=values), *rows[WEAK + 1 :]]

    patch.setattr(teacher_forcing, "teacher_forced_log_probs", touched)


def _nth(
    patch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    number: int,
    change: Callable[[Any], object],
) -> None:
    """Change what a function returns for one state, in its first pass over the states."""
    function, calls = getattr(owner, name), count()

    def changed(*arguments: Any, **more: Any) -> object:  # noqa: ANN401
        value = function(*arguments, **more)
        return change(value) if next(calls) == number else value

    patch.setattr(owner, name, changed)


def _distinct(rng: np.random.Generator) -> Iterator[tuple[int, list[int]]]:
    """Yield batch size and order of repeats that compute differently."""
    seen = set[frozenset[tuple[int, ...]]]()
    while len(seen) < REPEATS:
        # Prefer large batches: they need fewer passes, and their rows differ more.
        size, order = int(rng.choice((1, 2, 3, 4, *[5] * 12))), rng.permutation(MORE).tolist()
        if (batches := _batches(size, order)) not in seen:
            seen.add(batches)
            yield size, order


def _batches(size: int, order: list[int]) -> frozenset[tuple[int, ...]]:
    """Return which states share a batch, and in which row; the order of batches is irrelevant."""
    return frozenset(tuple(order[at : at + size]) for at in range(0, MORE, size))


def _load_once(patch: pytest.MonkeyPatch) -> None:
    """Cache all functions that do not compute, since only computing again matters here."""
    for module, name in (
        (record_run, "load_model"),
        (record_run, "load_tokenizer"),
        (record_run, "load_states"),
        (resolution, "locate"),
        (stages, "weights_digest"),
        (record_run, "code_digests"),
        (run_environment, "versions"),
        (compatibility, "unsupported_reason"),
    ):
        patch.setattr(module, name, cache(getattr(module, name)))


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_runs_have_equal_records(engine: str, baselines: dict[str, Baseline]) -> None:
    """Recording again with the same settings results in the same record, and exit status 0."""
    baseline = baselines[engine]
    comparison = _compared(baseline, baseline.run)
    assert (comparison.severity, comparison.stage, comparison.exit_status) == (
        Severity.SAME,
        None,
        0,
    )


def _compared(
    baseline: Baseline, run: RunRequest, order: list[int] | None = None
) -> FingerprintDiff:
    request = FingerprintRequest(run, along=baseline.record, order=order)
    return compare(baseline.record, fingerprint(request, Quiet()))


def _report_changes(patch: pytest.MonkeyPatch, kind: str, cause: str) -> None:
    """Let the environment report that the cause changed, and unrelated entries of every kind."""
    libraries = dict.fromkeys(INNOCENT[kind], "999")
    code = dict.fromkeys(INNOCENT_CODE, "another")
    if kind == "library":
        libraries[cause] = "999"
    if kind == "code":
        code[cause] = "another"
    changed = versions() | libraries, code_digests() | code, variables() | INNOCENT_SETTINGS
    patch.setattr(run_environment, "versions", lambda: changed[0])
    patch.setattr(record_run, "code_digests", lambda: changed[1])
    patch.setattr(run_environment, "variables", lambda: changed[2])
