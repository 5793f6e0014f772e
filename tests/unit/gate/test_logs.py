"""Logs of every harness are read, paired and compared alike."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import DataError, SettingError
from benchmark.gate.ci import junit
from benchmark.gate.logs import read_log
from benchmark.gate.pairing import pair_logs
from benchmark.gate.result import GateResult, gate
from benchmark.gate.table import rows
from benchmark.stats.decision import Decision, Effect
from benchmark.stats.gate import bounds, detectable, group
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
    "inspect, a folder of json": lambda folder, scores: _inspect_json(folder, scores).parent,
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
    clusters = result.tasks["task"].clusters
    assert (clusters.lost, len(clusters.sums)) == (15, 12)
    assert result.verdict == "undecided"
    assert gate(old, new).verdict == "worse"
    assert gate(old, old, margin=0.05).verdict == "passes"
    assert not result.tasks["task"].paired.remarks


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
    paired = result.tasks["boxes"].paired
    assert (paired.metric, len(paired.pairs)) == ("set", 26 * 7)
    assert len(result.tasks["boxes"].clusters.sums) == 2  # sequences of 13 states
    assert gate(run, run, metric=["exact"]).tasks["boxes"].paired.metric == "exact"


def _named_lm_eval(folder: Path, model: str) -> Path:
    return eval_logs.write_lm_eval(folder, "task", EXACT, model=model).parent


def _named_inspect(folder: Path, model: str) -> Path:
    return eval_logs.write_inspect(folder / "a.eval", "task", EXACT, model)


def _named_lighteval(folder: Path, model: str) -> Path:
    place = folder / "details" / model / eval_logs.DATE
    return eval_logs.write_lighteval(place, "task", EXACT)


def _named_run(folder: Path, model: str) -> Path:
    states = finished_runs.first_states(2)
    return finished_runs.write_run(folder, model, states, finished_runs.mixed_answer)


@pytest.mark.parametrize("write", [_named_lm_eval, _named_inspect, _named_lighteval, _named_run])
def test_model_of_each_log(write: Callable[[Path, str], Path], tmp_path: Path) -> None:
    """The log's model is named, and that two logs are of different ones."""
    old, new = write(tmp_path / "old", "owner/a"), write(tmp_path / "new", "owner/b")
    assert read_log(new).models == ("owner/b",)
    result = gate(old, new)
    assert "models differ: owner/a -> owner/b" in result.notes()
    assert result.as_json()["models"] == {"old": ["owner/a"], "new": ["owner/b"]}
    same = gate(new, new)
    assert same.model_words == "owner/b"
    assert not any("models" in note for note in same.notes())


@pytest.mark.parametrize(
    ("evaluation", "models"),
    [
        ({"model": "hf/local", "model_args": {"model_path": "a"}}, ("hf/local a",)),
        ({"model": "hf/owner/a", "model_args": {"model_path": None}}, ("hf/owner/a",)),
        ({"model": 1, "model_args": []}, ()),
    ],
)
def test_local_models_of_inspect(
    evaluation: dict[str, object], models: tuple[str, ...], tmp_path: Path
) -> None:
    """All of them have the name hf/local, so that the path tells them apart."""
    log = eval_logs.inspect_log("task", EXACT)
    path = tmp_path / "log.json"
    path.write_text(json.dumps({**log, "eval": {"task": "task", **evaluation}}))
    assert read_log(path).models == models


def test_model_of_older_logs(tmp_path: Path) -> None:
    """Without a name the arguments are; without both, and elsewhere than lighteval's, none."""
    log = _named_lm_eval(tmp_path / "lm_eval", "m")
    results = log / f"results_{eval_logs.DATE}.json"
    results.write_text(json.dumps({"config": {"model_args": "x=1"}}))
    assert read_log(log).models == ("x=1",)
    results.write_text(json.dumps({"config": {"model_args": {"x": 1}}, "model_name": None}))
    assert read_log(log).models == ()
    moved = eval_logs.write_lighteval(tmp_path / "details" / "moved", "task", EXACT)
    assert read_log(moved).models == ()
    result = gate(moved, _named_lighteval(tmp_path, "m"))
    assert result.model_words == "unnamed -> m"
    assert not any("models" in note for note in result.notes())


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
    rows[0]["doc"] = "changed"
    rows[1]["exact_match"] = float("nan")
    rows[2]["prompt_hash"] = "changed"
    _write_lines(new, rows[:-2])
    result = gate(old.parent, new.parent)
    assert result.notes() == [
        "metric: exact_match (assumed: higher is better)",
        "tasks only in NEW: other",
        "task: samples of NEW without a score: 1",
        "task: without exact_match in NEW, counted as lost: 4",
        "task: left out: 1 only in NEW",
        "task: prompts differ in 1 of 26 pairs",
    ]


def test_duplicates_of_a_document_are_one_cluster(tmp_path: Path) -> None:
    """A dataset may have a document twice, which shows no more; the same line twice is refused."""
    paths = [eval_logs.write_lm_eval(tmp_path / n, "task", [0.0, 1.0, 1.0]) for n in "ab"]
    for path in paths:
        rows = _lines(path)
        for name in ("doc", "target"):
            rows[1][name] = rows[0][name]
        _write_lines(path, rows)
    for _ in range(2):
        paired = pair_logs(read_log(paths[0]), read_log(paths[1])).tasks["task"]
        assert sorted((pair.old, pair.new) for pair in paired.pairs) == [(0, 0), (1, 1), (1, 1)]
        assert len({pair.cluster for pair in paired.pairs}) == 2
        _write_lines(paths[1], _lines(paths[1])[::-1])  # doc_id tells them apart, not the order
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
    log = read_log(path.parent)
    assert log.tasks["task"].samples[0].metrics == {"error": 0.25, "error,strict": 3.0}
    paired = pair_logs(log, log, ["error,strict"]).tasks["task"]
    assert (paired.pairs[0].old, paired.lower_is_better) == (-3.0, True)
    assert gate(path, path).notes()[:2] == [
        "metric: error (lower is better)",
        "not compared: error,strict",
    ]


def test_default_metric_is_the_first_binary_one(tmp_path: Path) -> None:
    """A score between 0 and 1 before it is passed over; without a binary one it is taken."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [0.25, 1.0], "f1")
    log = read_log(path)
    assert pair_logs(log, log).tasks["task"].metric == "f1"
    rows = [{**row, "acc": 1, "metrics": ["f1", "acc"]} for row in _lines(path)]
    _write_lines(path, rows)
    log = read_log(path)
    assert pair_logs(log, log).tasks["task"].metric == "acc"


def _two_scores(path: Path, first: list[float], second: list[float]) -> Path:
    """Write a log with the metrics ``acc`` and ``em``."""
    log = eval_logs.write_lm_eval(path, "task", first, "acc")
    rows = zip(_lines(log), second, strict=True)
    _write_lines(log, [{**row, "metrics": ["acc", "em"], "em": em} for row, em in rows])
    return log


def test_new_does_not_choose_the_metric(tmp_path: Path) -> None:
    """What was 0 or 1 and has one half credit now is compared all the same."""
    old = _two_scores(tmp_path / "old", [1.0] * 300, [1.0] * 300)
    new = _two_scores(tmp_path / "new", [0.5] + [0.0] * 299, [1.0] * 300)
    result = gate(old, new)
    assert (result.verdict, result.tasks["task"].paired.metric) == ("worse", "acc")
    assert "not compared: em" in result.notes()


def test_a_metric_that_new_lacks_is_not_exchanged(tmp_path: Path) -> None:
    """Alone it is an error; with another task it is undecided; --metric may choose."""
    old = _two_scores(tmp_path / "old", [1.0] * 300, [1.0] * 300)
    new = _two_scores(tmp_path / "new", [float("nan")] * 300, [1.0] * 300)
    with pytest.raises(DataError, match="task task: no acc in NEW, which has em; choose one"):
        gate(old, new)
    assert gate(old, new, metric=["em"]).verdict == "passes"
    for folder in (old.parent, new.parent):
        eval_logs.write_lm_eval(folder, "other", [1.0] * 300, "em")
    result = gate(old.parent, new.parent)
    assert (result.verdict, result.absent) == ("undecided", {"task": "no acc in NEW, which has em"})
    chosen = gate(old.parent, new.parent, metric=["task=em"])
    assert (chosen.verdict, {*chosen.tasks}) == ("passes", {"task", "other"})
    with pytest.raises(DataError, match="task other: no metric 'acc' in OLD; --metric other=NAME"):
        gate(old.parent, new.parent, metric=["acc"])


def test_missing_errors_count_as_errors(tmp_path: Path) -> None:
    """Where lower is better, 0 is not the worst that a missing sample can be."""
    old = eval_logs.write_lm_eval(tmp_path / "old", "task", [0.0] * 400, "err")
    new = eval_logs.write_lm_eval(tmp_path / "new", "task", [0.0] * 200, "err")
    result = gate(old, new, lower_is_better=True)
    assert result.verdict == "undecided"
    assert result.reasons() == [
        "task: a drop of 0.507 is not excluded, with 200 samples without a new score as lost"
    ]


def _stated(log: Path, metric: str, *, higher: bool) -> None:
    results = {"higher_is_better": {"task": {metric: higher}}}
    (log.parent / f"results_{eval_logs.DATE}.json").write_text(json.dumps(results))


def test_a_direction_that_a_log_states_is_not_overruled(tmp_path: Path) -> None:
    """The option is for what logs do not say; of two that disagree the first counts."""
    old = eval_logs.write_lm_eval(tmp_path / "old", "task", [1.0] * 300, "acc")
    new = eval_logs.write_lm_eval(tmp_path / "new", "task", [0.0] * 300, "acc")
    _stated(new, "acc", higher=True)
    result = gate(old, new, lower_is_better=True)
    assert result.verdict == "worse"
    assert "task: --lower-is-better is not for acc: its log says that higher is" in result.notes()
    _stated(old, "acc", higher=False)
    disagreeing = gate(old, new)
    assert disagreeing.verdict == "passes"
    assert "task: OLD says that a lower acc is better, NEW does not" in disagreeing.notes()


def test_unknown_prompts_do_not_differ(tmp_path: Path) -> None:
    """A log without prompts says nothing of them."""
    log = eval_logs.write_lm_eval(tmp_path, "task", [1.0] * 30)
    without = [{k: v for k, v in row.items() if k not in {"prompt_hash", "arguments"}}
               for row in _lines(log)]  # fmt: skip
    _write_lines(log.with_name("samples_task.jsonl"), without)
    assert not any("prompts" in n for n in gate(log, log.with_name("samples_task.jsonl")).notes())


def test_a_compressed_log(tmp_path: Path) -> None:
    """It is not read, and the error says what to do."""
    path = tmp_path / "samples_task.jsonl.gz"
    path.write_bytes(b"")
    for place in (path, tmp_path):
        with pytest.raises(DataError, match=r"samples_task\.jsonl\.gz: is compressed; decompress"):
            gate(place, place)


def test_epochs_of_a_sample_belong_together(tmp_path: Path) -> None:
    """Inspect's epochs are paired one by one, and are one cluster."""
    samples = [
        {**sample, "epoch": epoch}
        for epoch in (1, 2)
        for sample in eval_logs.inspect_samples([1.0, 0.0, 1.0])
    ]
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"eval": {"task": "t"}, "samples": samples}))
    decision = gate(path, path).tasks["t"]
    assert (decision.clusters.samples, len(decision.clusters.sums)) == (6, 3)


def test_logs_before_the_hashes(tmp_path: Path) -> None:
    """Fields of the document are no scores; such a log is paired with one of a newer version."""
    before = eval_logs.write_lm_eval(tmp_path / "old", "task", [1.0] * 300, "acc")
    after = eval_logs.write_lm_eval(tmp_path / "new", "task", [0.0] * 150 + [1.0] * 150, "acc")
    without = {"metrics", "doc_hash", "prompt_hash", "target_hash"}
    for path in (before, after):
        lines = [{**row, "target": n % 2} for n, row in enumerate(_lines(path))]
        _write_lines(path, lines)
        old = [{k: v for k, v in row.items() if k not in without} for row in lines]
        old_form = path.with_name("samples_task.jsonl")
        _write_lines(old_form, [{**row, "arguments": [[f"prompt {n}", ""]], "filtered_resps": [1]}
                                for n, row in enumerate(old)])  # fmt: skip
        crossed = gate(old_form, path, metric=["acc"]).tasks["task"].paired
        assert (len(crossed.pairs), crossed.only_old) == (300, 0)
        assert read_log(old_form).tasks["task"].samples[0].metrics.keys() == {"acc"}
    old_forms = [path.with_name("samples_task.jsonl") for path in (before, after)]
    assert gate(*old_forms).verdict == "worse"


def test_prompts_across_the_hashes(tmp_path: Path) -> None:
    """The prompt of a log without prompt_hash has the digest that newer versions write."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [1.0])
    (row,) = _lines(path)
    row["prompt_hash"] = hashlib.sha256(b"prompt 0").hexdigest()
    old = {**row, "arguments": [["prompt 0", ""]]}
    del old["prompt_hash"]
    _write_lines(path, [row])
    _write_lines(path.with_name("samples_old.jsonl"), [old])
    prompts = [log.samples[0].prompt for log in read_log(tmp_path).tasks.values()]
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize("lack", ["samples", "scores", "task", "scores of a task", "status"])
def test_what_new_lacks_does_not_pass(lack: str, tmp_path: Path) -> None:
    """Samples or scores of most of a task, a whole task, or an unfinished log."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        for task in ("a", "b"):
            samples = eval_logs.inspect_samples([1.0] * 300)
            status = "success"
            if folder == new and task == "b":
                if lack == "task":
                    continue
                status = "error" if lack == "status" else status
                samples = samples[:200] if lack == "samples" else samples
                if lack.startswith("scores"):
                    for sample in samples[: 100 if lack == "scores" else None]:
                        sample["scores"] = {}
            folder.mkdir(exist_ok=True)
            log = {"status": status, "eval": {"task": task}, "samples": samples}
            (folder / f"{task}.json").write_text(json.dumps(log))
    result = gate(old, new)
    assert (result.verdict, result.exit_status) == ("undecided", 3)
    assert result.headline == "undecided at a margin of 0.02: b"
    if lack == "status":
        assert result.tasks["b"].decision.doubt == "NEW is unfinished: status error"
    assert 'name="b"' in junit(result)
    assert junit(result).count("<skipped") == 1
    assert gate(old, old).verdict == "passes"


def test_a_task_without_numeric_scores_is_left_out(tmp_path: Path) -> None:
    """A perplexity per document is a list; the other task is compared."""
    eval_logs.write_lm_eval(tmp_path, "good", [1.0] * 200)
    path = eval_logs.write_lm_eval(tmp_path, "wikitext", [1.0] * 2)
    _write_lines(path, [{**row, "exact_match": [-1.0, 3]} for row in _lines(path)])
    result = gate(tmp_path, tmp_path)
    assert result.verdict == "passes"
    assert "tasks without a numeric score in OLD: wikitext" in result.notes()


def test_default_metric_is_in_both_logs(tmp_path: Path) -> None:
    """A newer version may add a metric."""
    old = eval_logs.write_lm_eval(tmp_path / "old", "task", [0.5] * 30, "f1")
    new = eval_logs.write_lm_eval(tmp_path / "new", "task", [0.5] * 30, "f1")
    _write_lines(new, [{**row, "acc": 1, "metrics": ["acc", "f1"]} for row in _lines(new)])
    assert gate(old, new).tasks["task"].paired.metric == "f1"


def test_lower_is_better(tmp_path: Path) -> None:
    """A rise is worse with the option; the figures keep the metric's own sign."""
    old = eval_logs.write_lm_eval(tmp_path / "old", "task", [0.1] * 300, "wer")
    new = eval_logs.write_lm_eval(tmp_path / "new", "task", [0.5] * 300, "wer")
    assumed = gate(old, new)
    assert (assumed.verdict, assumed.tasks["task"].paired.assumed) == ("passes", True)
    result = gate(old, new, lower_is_better=True)
    assert result.verdict == "worse"
    assert result.notes() == ["metric: wer (lower is better)"]
    task = json.loads(json.dumps(result.as_json()))["tasks"]["task"]
    assert task["old"] == pytest.approx(0.1)
    decision = task["decision"]
    assert decision["low"] < decision["difference"] < decision["high"] < 0 < task["change"]
    ((_, _, _, _, interval, *_),) = rows(result)
    assert interval.startswith("+0.3")
    report = "wer (lower is better: a positive difference is an improvement): no loss of 0.02"
    assert f"{report}: not supported; -0.400 (90 % interval -0.4" in junit(result)


def test_negative_scores_keep_their_sign(tmp_path: Path) -> None:
    """A log-likelihood is below 0 in JUnit too."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [-35.0] * 30, "loglikelihood")
    assert 'name="old" value="-35"' in junit(gate(path, path))


def test_messages_of_inspect_have_random_ids(tmp_path: Path) -> None:
    """Only role and content of a chat are what was asked."""
    for name in ("old", "new"):
        samples = [
            {**sample, "input": [{"id": f"{name} {n}", "role": "user", "content": f"q{n}"}]}
            for n, sample in enumerate(eval_logs.inspect_samples([1.0] * 20))
        ]
        log = {"eval": {"task": "t"}, "samples": samples}
        (tmp_path / f"{name}.json").write_text(json.dumps(log))
    assert len(gate(tmp_path / "old.json", tmp_path / "new.json").tasks["t"].paired.pairs) == 20


@pytest.mark.parametrize(
    ("value", "number"),
    [("C", 1), ("P", 0.5), ("I", 0), ("N", 0), ("yes", 1), ("True", 1), ("NO", 0), ("false", 0),
     ("0.5", 0.5), ("1", 1), (False, 0), (0.25, 0.25), ("nan", None), ("inf", None), ("A", None),
     ("c", None)],
)  # fmt: skip
def test_grades_of_inspect(value: object, number: float | None, tmp_path: Path) -> None:
    """They are numbers as by Inspect's ``value_to_float``; what it cannot convert is no score."""
    (sample,) = eval_logs.inspect_samples([1.0])
    sample["scores"] = {"match": {"value": value}}
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"eval": {"task": "t"}, "samples": [sample]}))
    assert read_log(path).tasks["t"].samples[0].metrics.get("match") == number


def test_failed_counts_documents(tmp_path: Path) -> None:
    """A document that one filter scores and another does not has not failed."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [1.0, 1.0])
    strict = [{**row, "filter": "strict", "exact_match": float("nan")} for row in _lines(path)]
    _write_lines(path, [*_lines(path), *strict])
    assert read_log(path).tasks["task"].failed == 0


@pytest.mark.parametrize("field", [14, 22])
def test_a_zstandard_member_is_what_the_archive_declares(field: int, tmp_path: Path) -> None:
    """Another checksum (byte 16 of the directory's entry) or size (24) is damage."""
    content = bytearray(eval_logs.ZSTANDARD.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + field + 2] ^= 1
    path = tmp_path / "a.eval"
    path.write_bytes(content)
    with pytest.raises(DataError, match="size or checksum is not the declared one"):
        read_log(path)


@pytest.mark.parametrize(("signature", "offset"), [(b"PK\x03\x04", 60), (b"PK\x01\x02", 6)])
def test_a_damaged_archive_is_one_error(signature: bytes, offset: int, tmp_path: Path) -> None:
    """Deflated data that cannot be unpacked, and a version of ZIP that does not exist."""
    path = eval_logs.write_inspect(tmp_path / "a.eval", "task", [1.0])
    content = bytearray(path.read_bytes())
    content[content.index(signature) + offset] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_log(path)


@pytest.mark.parametrize("margin", [float("nan"), float("inf")])
def test_a_margin_that_is_no_number(margin: float, tmp_path: Path) -> None:
    """It is refused before any log is read."""
    with pytest.raises(SettingError, match="give a number"):
        gate(tmp_path, tmp_path, margin=margin)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _without_lines(folder: Path) -> Path:
    folder.mkdir()
    (folder / "samples_t.jsonl").write_text("\n")
    return folder / "samples_t.jsonl"


def _without_samples(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.json").write_text('{"eval": {"task": "t"}, "samples": []}')
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
        (_without_lines, r"samples_t.jsonl: the log has no samples"),
        (_without_samples, r"a.json: the log has no samples"),
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


@pytest.mark.parametrize("name", ["log.eval", "details_task.parquet", "samples_task.jsonl"])
def test_a_pointer_of_git_lfs(name: str, tmp_path: Path) -> None:
    """Logs in repositories are often pointers until they are pulled."""
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 2\n")
    with pytest.raises(DataError, match="a Git LFS pointer, not the file: run git lfs pull"):
        gate(path, path)


def test_other_options_that_cannot_be_used(tmp_path: Path) -> None:
    """An unknown metric or field, and logs without a common task or sample."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [1.0, 0.0])
    other = eval_logs.write_lm_eval(tmp_path / "b", "other", [1.0])
    inspect = eval_logs.write_inspect(tmp_path / "c" / "a.eval", "task", [1.0])
    with pytest.raises(DataError, match="--metric task=NAME can be exact_match"):
        gate(path, path, metric=["f1"])
    with pytest.raises(DataError, match="no field 'topic'"):
        gate(path, path, cluster="topic")
    with pytest.raises(DataError, match="share no task"):
        gate(path, other)
    with pytest.raises(DataError, match="no exact_match in NEW, which has match"):
        gate(path, inspect)
    changed = eval_logs.write_lm_eval(tmp_path / "d", "task", [1.0])
    _write_lines(changed, [{**row, "doc": "changed"} for row in _lines(changed)])
    with pytest.raises(DataError, match="none of 2 samples of OLD is among 1 of NEW"):
        gate(path, changed)


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
    decisions = {name: task["decision"] for name, task in document["tasks"].items()}
    assert [(d["claim"], d["verdict"]) for d in decisions.values()] == [
        ("non-inferiority", "not supported"),
        ("non-inferiority", "supported"),
        ("non-inferiority", "undecided"),
    ]
    paired = Decision("gain", 0.05, Effect(0.1, None, "few"), 1.0, "undecided", "few")
    for task in document["tasks"].values():
        keys = paired.as_json().keys()
        assert task["decision"].keys() == task["difference"].keys() == keys


def test_figures_of_the_decisions(worse: GateResult) -> None:
    """They are the rule's: bounds and power at each test's level, and the p of each claim."""
    task, numbers = worse.tasks["bad"], group(worse.tasks["bad"].paired.pairs)
    assert task.interval == bounds(numbers, 0.05)
    assert task.difference.effect.interval == bounds(numbers, 0.025)
    assert task.decision.effect.detectable == detectable(numbers, 0.1)
    assert task.difference.effect.detectable == detectable(numbers, 0.05)
    assert task.decision.p == 1
    p = worse.tasks["good"].decision.p
    assert p == pytest.approx(0.98**200, rel=1e-3)  # none of 200 is lost
    assert task.difference.p == pytest.approx(min(1.0, 3 * task.p))
    small = worse.tasks["small"]
    assert small.decision.report() == (
        "no loss of 0.02: undecided; +0.000 (90 % interval -0.139 to +0.139), p = 1; "
        "a drop of 0.139 is not excluded; a loss of 0.380 would be found (power 80 %)"
    )


def test_few_clusters_are_a_doubt(tmp_path: Path) -> None:
    """A decision then rests on no figure, and its interval and power say why they are missing."""
    path = eval_logs.write_lm_eval(tmp_path, "task", [1.0])
    (task,) = gate(path, path).tasks.values()
    assert task.decision.doubt == "1 cluster, at least 20 needed"
    assert task.decision.effect.no_interval == "a single cluster"
    assert task.decision.effect.no_detectable == "unknown, 1 cluster, at least 20 needed"
    assert (task.decision.p, task.interval) == (1, None)
