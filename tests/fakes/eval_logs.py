"""Logs of other harnesses, with the fields that the gate reads, in the forms they are written."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

Scores = Sequence[float]

ZSTANDARD = Path(__file__).with_name("inspect_zstandard.eval")
"""Four samples of a log that Inspect 0.3.285 wrote, with the fields that the gate reads."""

DATE = "2026-01-02T03-04-05.678901"


def lm_eval_rows(scores: Scores, metric: str = "exact_match") -> list[dict[str, object]]:
    """Return the lines of a task."""
    return [
        {
            "doc_id": n,
            "doc": {"question": f"q{n}", "group": n // 5},
            "target": f"a{n}",
            "arguments": {"gen_args_0": {"arg_0": f"prompt {n}"}},
            "resps": [["x"]],
            "filter": "none",
            "metrics": [metric],
            "doc_hash": f"d{n}",
            "prompt_hash": f"p{n}",
            "target_hash": f"t{n}",
            metric: value,
        }
        for n, value in enumerate(scores)
    ]


def write_lm_eval(
    folder: Path, task: str, scores: Scores, metric: str = "exact_match", model: str = ""
) -> Path:
    """Write a task's samples as lm-evaluation-harness does, with results if a model is named."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{DATE}.jsonl"
    lines = [json.dumps(row) for row in lm_eval_rows(scores, metric)]
    path.write_text("\n".join(lines) + "\n")
    if model:
        (folder / f"results_{DATE}.json").write_text(json.dumps({"model_name": model}))
    return path


def inspect_samples(scores: Scores) -> list[dict[str, object]]:
    """Return the samples of a task, graded C or I."""
    return [
        {
            "id": n,
            "epoch": 1,
            "input": f"q{n}",
            "target": f"a{n}",
            "metadata": {"group": n // 5},
            "messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant"}],
            "scores": {"match": {"value": "C" if value else "I", "answer": "x"}},
        }
        for n, value in enumerate(scores)
    ]


def inspect_log(task: str, scores: Scores) -> dict[str, object]:
    """Return a log as Inspect's JSON form has it."""
    return {"version": 2, "eval": {"task": task}, "samples": inspect_samples(scores)}


def write_inspect(path: Path, task: str, scores: Scores, model: str = "") -> Path:
    """Write a log as an archive, packed as Python before 3.14 can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"eval": {"task": task, "model": model}}))
        for sample in inspect_samples(scores):
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    return path


def write_lighteval(folder: Path, task: str, scores: Scores, *, old: bool = False) -> Path:
    """Write details as lighteval does: 0.13, or with ``old`` 0.8."""
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "doc": {"query": f"q{n}", "choices": [f"a{n}"], "gold_index": 0, "instruction": "",
                    "specific": {"group": n // 5}},
            "model_response": {"text": ["x"]},
            "metric": {"em": value},
        }
        if not old
        else {"example": f"q{n}", "full_prompt": f"Q: q{n}", "choices": [], "gold": [f"a{n}"],
              "metrics": {"em": value}, "specifics": {"group": n // 5}}
        for n, value in enumerate(scores)
    ]  # fmt: skip
    path = folder / f"details_{task}_{DATE}.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path
