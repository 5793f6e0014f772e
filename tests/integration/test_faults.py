"""Seeded faults are noticed at their stage and laid at the right door; no fault is no alarm."""

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
from benchmark.decoding import constraint_trace as walking
from benchmark.decoding import teacher_forcing as forcing
from benchmark.decoding.speculative import compatibility as support
from benchmark.fingerprints import record_run as pipeline
from benchmark.fingerprints import run_environment as surroundings
from benchmark.fingerprints import stages
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import EXIT_STATUSES, FingerprintDiff, Severity
from benchmark.fingerprints.logits import RESOLUTION
from benchmark.fingerprints.noise import floor
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.models.hardware import torch_threads
from benchmark.prompts import rendering
from benchmark.runs.data import load_states
from benchmark.runs.environment import code_digests, variables, versions
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from benchmark.scoring import outcomes

ROOT = Path(__file__).parents[2]
CATALOGUE = tomllib.loads((ROOT / "fixtures" / "faults.toml").read_text())
STATES = 4
MORE = 5
MANY = 64
WEAK = 49
"""The number of the state that a weak fault is in."""
REPEATS = 100
BY_OUTLINES = 10
"""So many of them by the paper's engine."""

ENGINES = ("outlines", "speculative")
DECODING = {"constraint", "weights", "logits", "generated_ids"}
"""The stages that an engine has a part in."""

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
"""Libraries that changed as well, by the kind of the cause: none has to do with any fault but its
own. Beside a file, python, numpy and jinja2 are left out: of such stages they are makers too."""

INNOCENT_CODE = ("cli/run.py", "runs/result_table.py", "stats/paired.py", "planning/memory.py")
INNOCENT_SETTINGS = {"OMP_PROC_BIND": "true", "MKL_VERBOSE": "1"}
"""Variables that the process was given besides."""

Injector = Callable[[pytest.MonkeyPatch, RunRequest, Path], RunRequest]


@dataclass(frozen=True)
class Baseline:
    """A run without a fault, and its record with the noise floor."""

    run: RunRequest
    record: Fingerprint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few states in a file, so that they are not drawn anew for every record."""
    return _written(tmp_path_factory, MORE)


def _written(tmp_path_factory: pytest.TempPathFactory, number: int) -> Path:
    path = tmp_path_factory.mktemp("data") / "states.jsonl"
    states = load_states(DataRequest(seed=0, states=number))
    path.write_text("".join(f"{row}\n" for state in states for row in rows(state)))
    return path


@pytest.fixture(scope="module")
def baselines(data: Path) -> dict[str, Baseline]:
    """A control model that has much wrong, by the paper's engine and by the default one."""
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
def test_faults_are_noticed_where_they_are(
    name: str,
    engine: str,
    baselines: dict[str, Baseline],
    fault: Callable[[str], Injector],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The fault is noticed, its stage is the earliest, and its cause is the first suspect of many.

    Libraries, files and variables that are innocent changed beside every cause.
    """
    expected, baseline = CATALOGUE[name], baselines[engine]
    kind, _, cause = expected["cause"].partition(" ")
    _say_changed(monkeypatch, kind, cause)
    run = fault(expected["inject"])(monkeypatch, baseline.run, tmp_path)
    found = _compared(baseline, run)
    assert found.severity in expected["severity"].split(" or ")
    assert found.stage == expected["stage"]
    assert bool(found.failed) == expected.get("fails", False)
    assert (found.suspects[0].kind, found.suspects[0].name) == (kind, cause)
    assert found.suspects[0].changed
    assert {each.kind for each in found.suspects[1:] if each.changed} >= {"library", "setting"}
    assert found.exit_status == EXIT_STATUSES[found.severity]
    assert found.exit_status not in {0, 1, 2}


def test_the_table_of_the_documents_is_the_catalogue(fault: Callable[[str], Injector]) -> None:
    """docs/faults.md has a row a fault: what is done, where it is noticed, and who it was."""
    rows_ = []
    for name, each in CATALOGUE.items():
        engines = ", ".join(engine for fault_, engine in CASES if fault_ == name)
        done = (fault(each["inject"]).__doc__ or "").rstrip(".")
        severity = each["severity"] + " (the stage fails)" * each.get("fails", False)
        rows_.append(
            f"| {name} | {done} | {engines} | {each['stage']} | {severity} | {each['cause']} |"
        )
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| [a-z0-9-]+ \|.*\|$", text, re.MULTILINE)[1:] == rows_
    assert f"{len(CATALOGUE)} faults, {len(CASES)} cases" in text


def test_no_fault_is_no_alarm(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred repeats, each in batches of its own, one in ten on two threads: noise at most."""
    _load_once(monkeypatch)
    baselines = {engine: _baseline(data, MORE, engine) for engine in ENGINES}
    alarms, seen = [], set()
    for number, (size, order) in enumerate(_distinct(np.random.Generator(np.random.PCG64(5)))):
        baseline = baselines["outlines" if number < BY_OUTLINES else "speculative"]
        run = replace(baseline.run, batch_size=size)
        with torch_threads(2 if number % 10 == 5 else 1):
            found = _compared(baseline, run, order)
        seen.add(_batches(size, order))
        if found.severity not in {Severity.SAME, Severity.NOISE}:
            alarms.append((number, size, order, found.as_json()))
    assert not alarms
    assert len(seen) == REPEATS


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    """The record of so many states that one of them is easily overlooked."""
    return _baseline(_written(tmp_path_factory, MANY), MANY, "speculative")


def _prompt(patch: pytest.MonkeyPatch, limit: float) -> None:
    """A space too many in one prompt."""
    _nth(patch, rendering, "completion", WEAK, lambda text: text.replace("Box 0", "Box  0", 1))


def _tokens(patch: pytest.MonkeyPatch, limit: float) -> None:
    """Another last token in one prompt."""
    _nth(
        patch,
        rendering,
        "prompt",
        WEAK,
        lambda made: replace(made, token_ids=(*made.token_ids[:-1], made.token_ids[-2])),
    )


def _constraint(patch: pytest.MonkeyPatch, limit: float) -> None:
    """Another allowed set at one token of one answer."""
    _nth(
        patch,
        walking.ConstraintTrace,
        "set_numbers",
        WEAK,
        lambda sets: (*sets[:9], sets[0], *sets[10:]),
    )


def _logits(patch: pytest.MonkeyPatch, limit: float) -> None:
    """One token of one answer likelier by a tenth more than the floor, in whole steps."""
    _one_value(patch, RESOLUTION * ceil(1.1 * limit / RESOLUTION))


def _outcome(patch: pytest.MonkeyPatch, limit: float) -> None:
    """One query of 448 judged otherwise."""
    _nth(
        patch,
        outcomes.Score,  # the states are scored by set first
        "outcome",
        WEAK,
        lambda each: replace(each, correct=(not each.correct[0], *each.correct[1:])),
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
def test_a_fault_in_one_state_of_many(
    weaken: Callable[[pytest.MonkeyPatch, float], None],
    stage: str,
    severity: str | None,
    many: Baseline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Is noticed at its stage, in that state and no other."""
    weaken(monkeypatch, floor(many.record.repeats).largest)
    found = _compared(many, many.run)
    assert found.stage == stage
    assert (found.moved[0].states, found.moved[0].of) == ((WEAK,), MANY)
    assert severity in {found.severity, None}


def test_one_value_within_the_floor(many: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth less than the floor is noise, in a record in which nothing else differs."""
    limit = floor(many.record.repeats).largest
    _one_value(monkeypatch, RESOLUTION * int(0.9 * limit / RESOLUTION))
    found = _compared(many, many.run)
    assert found.severity is Severity.NOISE
    assert [(each.stage, each.states) for each in found.stage_diffs] == [("logits", (WEAK,))]


def _one_value(patch: pytest.MonkeyPatch, by: float) -> None:
    """One log-probability of one answer is greater by ``by`` nats.

    In whole steps of a record's resolution, since a part of one is lost or not by the value.
    """
    forced = forcing.teacher_forced_log_probs

    def touched(*given: Any, **more: Any) -> Iterator[list[forcing.TokenLogProbs]]:  # noqa: ANN401
        found = [each for batch in forced(*given, **more) for each in batch]
        values = found[WEAK].values.copy()
        values[7, 0] += by
        yield [*found[:WEAK], found[WEAK]._replace(values=values), *found[WEAK + 1 :]]

    patch.setattr(forcing, "teacher_forced_log_probs", touched)


def _nth(
    patch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    number: int,
    change: Callable[[Any], object],
) -> None:
    """What a function gives the first time it is asked for that state is changed."""
    function, calls = getattr(owner, name), count()

    def changed(*given: Any, **more: Any) -> object:  # noqa: ANN401
        found = function(*given, **more)
        return change(found) if next(calls) == number else found

    patch.setattr(owner, name, changed)


def _distinct(rng: np.random.Generator) -> Iterator[tuple[int, list[int]]]:
    """Batch size and order of a hundred repeats, no two of which compute the same."""
    seen = set[frozenset[tuple[int, ...]]]()
    while len(seen) < REPEATS:
        # Large batches more often: they are fewer passes, and rows differ more in them.
        size, order = int(rng.choice((1, 2, 3, 4, *[5] * 12))), rng.permutation(MORE).tolist()
        if (batches := _batches(size, order)) not in seen:
            seen.add(batches)
            yield size, order


def _batches(size: int, order: list[int]) -> frozenset[tuple[int, ...]]:
    """Who shares a batch with whom, and in which row: which batch comes first computes nothing."""
    return frozenset(tuple(order[at : at + size]) for at in range(0, MORE, size))


def _load_once(patch: pytest.MonkeyPatch) -> None:
    """What does not compute is done once: asked is whether computing again moves anything."""
    for module, name in (
        (pipeline, "load_model"),
        (pipeline, "load_tokenizer"),
        (pipeline, "load_states"),
        (pipeline, "locate"),
        (stages, "weights_digest"),
        (pipeline, "code_digests"),
        (surroundings, "versions"),
        (support, "unsupported_reason"),
    ):
        patch.setattr(module, name, cache(getattr(module, name)))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_again_is_the_same(engine: str, baselines: dict[str, Baseline]) -> None:
    """Recording again under the same settings gives the same record, and exit status 0."""
    baseline = baselines[engine]
    found = _compared(baseline, baseline.run)
    assert (found.severity, found.stage, found.exit_status) == (Severity.SAME, None, 0)


def _compared(
    baseline: Baseline, run: RunRequest, order: list[int] | None = None
) -> FingerprintDiff:
    request = FingerprintRequest(run, along=baseline.record, order=order)
    return compare(baseline.record, fingerprint(request, Quiet()))


def _say_changed(patch: pytest.MonkeyPatch, kind: str, cause: str) -> None:
    """Let the environment say that the cause changed, and innocents of every kind with it."""
    libraries = dict.fromkeys(INNOCENT[kind], "999")
    code = dict.fromkeys(INNOCENT_CODE, "another")
    if kind == "library":
        libraries[cause] = "999"
    if kind == "code":
        code[cause] = "another"
    known = versions() | libraries, code_digests() | code, variables() | INNOCENT_SETTINGS
    patch.setattr(surroundings, "versions", lambda: known[0])
    patch.setattr(pipeline, "code_digests", lambda: known[1])
    patch.setattr(surroundings, "variables", lambda: known[2])
