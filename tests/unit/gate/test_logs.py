"""Logs of every harness are read, paired and compared alike."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import DataError
from benchmark.gate.logs import read_log
from benchmark.gate.pairing import pair_logs
from benchmark.gate.result import GateResult, gate
from fakes import eval_logs, finished_runs

EXACT = [0.0, 1.0, 0.0, 0.0]

Write = Callable[[Path, list[float]], Path]


def _inspect_json(folder: Path, scores: list[float]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "log.json"
    path.write_text(json.dumps(eval_logs.inspect_log("task", scores)))
    return path


WRITERS: dict[str, Write] = {
    "lm_eval": lambda folder, scores: eval_logs.write_lm_eval(folder, "task", scores).parent,
    "lm_eval, a file": lambda folder, scores: eval_logs.write_lm_eval(folder, "task", scores),
    "inspect": lambda folder, scores: eval_logs.write_inspect(folder / "a.eval", "task", scores),
    "inspect, json": _inspect_json,
    "lighteval": lambda folder, scores: eval_logs.write_lighteval(folder, "task", scores),
    "lighteval, 0.8": lambda folder, scores: eval_logs.write_lighteval(
        folder, "task", scores, old=True
    ),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_logs_of_each_harness(write: Write, tmp_path: Path) -> None:
    """The same scores have the same decision, with clusters by a field."""
    before, after = [1.0] * 60, [0.0] * 15 + [1.0] * 45
    old, new = write(tmp_path / "old", before), write(tmp_path / "new", after)
    result = gate(old, new, cluster="group")
    decision = result.decisions.tasks["task"]
    assert (decision.clusters.lost, len(decision.clusters.sums)) == (15, 12)
    assert result.verdict == "undecided"
    assert gate(old, new).verdict == "worse"
    assert gate(old, old, margin=0.05).verdict == "passes"
    assert not result.tasks["task"].remarks


def test_an_archive_packed_by_zstandard() -> None:
    """Inspect's own archives can be read by any Python; the sample's metadata are fields."""
    log = read_log(eval_logs.ZSTANDARD, "sequence")
    samples = log.tasks["boxes_short"].samples
    assert (log.kind, [sample.metrics["exact"] for sample in samples]) == ("Inspect", EXACT)
    assert samples[0].prompt


def test_a_run_and_its_predictions(tmp_path: Path) -> None:
    """A run is paired with predictions of the same states, query by query."""
    states = finished_runs.first_states(26)
    run = finished_runs.write_run(tmp_path / "run", "owner/m", states, finished_runs.mixed_answer)
    result = gate(run, run / "predictions.jsonl")
    paired = result.tasks["boxes"]
    assert (paired.metric, len(paired.pairs)) == ("set", 26 * 7)
    assert len(result.decisions.tasks["boxes"].clusters.sums) == 2  # sequences of 13 states
    assert gate(run, run, metric="exact").tasks["boxes"].metric == "exact"


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_what_cannot_be_paired_is_counted(tmp_path: Path) -> None:
    """Samples of one log alone, without the score, with another prompt; tasks of one log alone."""
    old = eval_logs.write_lm_eval(tmp_path / "old", "task", [1.0] * 30)
    new = eval_logs.write_lm_eval(tmp_path / "new", "task", [1.0] * 30)
    eval_logs.write_lm_eval(tmp_path / "new", "other", [1.0])
    rows = _lines(new)
    rows[0]["doc_hash"] = "changed"
    rows[1]["exact_match"] = float("nan")
    rows[2]["prompt_hash"] = "changed"
    _write_lines(new, rows[:-2])
    result = gate(old.parent, new.parent)
    assert result.notes() == [
        "metric: exact_match",
        "tasks only in NEW: other",
        "task: 1 samples of NEW have no score",
        "task: left out: 3 only in OLD, 1 only in NEW, 1 without exact_match in one of them",
        "task: prompts differ in 1 of 26 pairs",
    ]


def test_duplicates_of_a_document_are_paired_in_order(tmp_path: Path) -> None:
    """A dataset may have a document twice; the same line twice is refused."""
    paths = [eval_logs.write_lm_eval(tmp_path / n, "task", [0.0, 1.0, 1.0]) for n in "ab"]
    for path in paths:
        rows = _lines(path)
        for name in ("doc_hash", "target_hash"):
            rows[1][name] = rows[0][name]
        _write_lines(path, rows)
    pairs = pair_logs(read_log(paths[0]), read_log(paths[1]))["task"].pairs
    assert [(pair.old, pair.new) for pair in pairs] == [(0, 0), (1, 1), (1, 1)]
    _write_lines(paths[0], [*_lines(paths[0]), _lines(paths[0])[0]])
    with pytest.raises(DataError, match=r"jsonl:4: document 0 has 'exact_match' a second time"):
        read_log(paths[0])


def test_filters_of_a_task_are_metrics(tmp_path: Path) -> None:
    """A document under two filters is one sample; lower is better as the results say."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [0.25, 1.0], "error")
    strict = [{**row, "filter": "strict", "error": 3.0} for row in _lines(path)]
    _write_lines(path, [*_lines(path), *strict])
    results = {"higher_is_better": {"task": {"error": False}}}
    (tmp_path / f"results_{eval_logs.DATE}.json").write_text(json.dumps(results))
    log = read_log(path)
    assert log.tasks["task"].samples[0].metrics == {"error": 0.25, "error,strict": 3.0}
    paired = pair_logs(log, log, "error,strict")["task"]
    assert (paired.pairs[0].old, paired.lower_is_better) == (-3.0, True)


def test_default_metric_is_the_first_binary_one(tmp_path: Path) -> None:
    """A score between 0 and 1 before it is passed over; without a binary one it is taken."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [0.25, 1.0], "f1")
    log = read_log(path)
    assert pair_logs(log, log)["task"].metric == "f1"
    rows = [{**row, "acc": 1, "metrics": ["f1", "acc"]} for row in _lines(path)]
    _write_lines(path, rows)
    log = read_log(path)
    assert pair_logs(log, log)["task"].metric == "acc"


def test_epochs_of_a_sample_belong_together(tmp_path: Path) -> None:
    """Inspect's epochs are paired one by one, and are one cluster."""
    samples = [
        {**sample, "epoch": epoch}
        for epoch in (1, 2)
        for sample in eval_logs.inspect_samples([1.0, 0.0, 1.0])
    ]
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"eval": {"task": "t"}, "samples": samples}))
    decision = gate(path, path).decisions.tasks["t"]
    assert (decision.clusters.samples, len(decision.clusters.sums)) == (6, 3)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _two_dates(folder: Path) -> Path:
    path = eval_logs.write_lm_eval(folder, "task", [1.0])
    path.with_name(path.name.replace("2026-01", "2026-02")).write_bytes(path.read_bytes())
    return folder


def _two_harnesses(folder: Path) -> Path:
    eval_logs.write_inspect(folder / "a.eval", "task", [1.0])
    return eval_logs.write_lm_eval(folder, "task", [1.0]).parent


def _without_header(folder: Path) -> Path:
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.eval", "w") as archive:
        archive.writestr("_journal/start.json", "{}")
    return folder / "a.eval"


def _unscored(folder: Path) -> Path:
    return eval_logs.write_lm_eval(folder, "task", [float("nan")] * 3)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_empty, "no log in it"),
        (lambda folder: folder, "no such file or folder"),
        (_two_dates, "task task is also in"),
        (_two_harnesses, "has logs of lm-evaluation-harness and Inspect"),
        (_without_header, "no header.json"),
        (_unscored, "no numeric score"),
    ],
)
def test_a_log_that_cannot_be_used(
    write: Callable[[Path], Path], words: str, tmp_path: Path
) -> None:
    """The error says what is wrong with it."""
    path = write(tmp_path / "log")
    with pytest.raises(DataError, match=words):
        gate(path, path)


def test_other_options_that_cannot_be_used(tmp_path: Path) -> None:
    """An unknown metric or field, and logs without a common task or sample."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [1.0, 0.0])
    other = eval_logs.write_lm_eval(tmp_path / "b", "other", [1.0])
    inspect = eval_logs.write_inspect(tmp_path / "c" / "a.eval", "task", [1.0])
    with pytest.raises(DataError, match="--metric can be exact_match"):
        gate(path, path, metric="f1")
    with pytest.raises(DataError, match="no field 'topic'"):
        gate(path, path, cluster="topic")
    with pytest.raises(DataError, match="share no task"):
        gate(path, other)
    with pytest.raises(DataError, match="none of 2 samples"):
        gate(path, inspect)


@pytest.fixture
def worse(tmp_path: Path) -> GateResult:
    """A result with one task of each verdict."""
    for name, scores in (("old", [1.0] * 200), ("new", [1.0] * 150 + [0.0] * 50)):
        eval_logs.write_lm_eval(tmp_path / name, "bad", scores)
        eval_logs.write_lm_eval(tmp_path / name, "good", [1.0] * 200)
        eval_logs.write_lm_eval(tmp_path / name, "small", [1.0] * 20)
    return gate(tmp_path / "old", tmp_path / "new")


def test_as_json(worse: GateResult) -> None:
    """Every task has its figures; the document is finite JSON."""
    document = json.loads(json.dumps(worse.as_json(), allow_nan=False))
    verdicts = {name: task["verdict"] for name, task in document["tasks"].items()}
    assert verdicts == {"bad": "worse", "good": "passes", "small": "undecided"}
    assert (document["verdict"], document["exit_status"]) == ("worse", 4)
    assert document["joint_p"] == document["tasks"]["bad"]["p"] < 0.001
