"""The audit of the paper's claims: on its own results, as recorded, and on a folder of runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.boxes.baseline import baseline
from benchmark.cli.app import app, main
from benchmark.hypotheses.claims import audit, claims
from benchmark.hypotheses.results import published_results
from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.pipeline import DataRequest, load_states
from benchmark.records import Outcome
from benchmark.scoring.outcomes import outcomes_as_json
from benchmark.snapshots.published import PublishedExtension
from benchmark.stats.summary import summarize

Command = Callable[..., str]

AGAINST_RANDOM = ("C6", "M3", "M5")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """``command(...)``: what ``claims`` prints."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        app(["claims", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_the_audit_of_the_published_results(command: Command, snapshot: SnapshotAssertion) -> None:
    """Every verdict on the published table, with its figures, is the recorded one."""
    document = json.loads(command("--results", "published", "--json"))
    assert document == snapshot.use_extension(PublishedExtension)


def test_the_table_says_what_json_says(command: Command) -> None:
    """Table and JSON give every claim the same verdict."""
    table = command("--results", "published")
    document = json.loads(command("--results", "published", "--json"))
    assert [claim["id"] for claim in document["claims"]] == list(claims())
    for claim in document["claims"]:
        (line,) = (line for line in table.splitlines() if line.startswith(f" {claim['id']} "))
        assert f" {claim['verdict']} " in line


def test_the_closed_form_of_random_moves_only_what_is_within_error() -> None:
    """Held against the baseline of a generated set, only verdicts within error are others.

    The paper's row is of its own queries, and the only fair one for its counts; but a verdict
    beyond error must not hang on which set the baseline is of.
    """
    chance = baseline(load_states(DataRequest(seed=0)))["by_numops"]
    rates = {int(n): percent / 100 for n, percent in chance.items() if percent is not None}
    assert rates.keys() >= set(range(8))
    results = published_results(published().values())
    closed = replace(results, entries=tuple(replace(e, chance=rates) for e in results.entries))
    before, after = ({j.claim.id: j.verdict for j in audit(each)} for each in (results, closed))
    moved = {claim for claim in before if before[claim].status != after[claim].status}
    assert moved <= set(AGAINST_RANDOM)
    assert all(before[claim].within_error for claim in moved)
    assert before["M3"].status == after["M3"].status == "supported"


def _write(
    folder: Path, model: str, rate: float, seed: int, prompt_format: str = "completion"
) -> None:
    """A result as ``run`` writes it: 200 states of 100 sequences."""
    right = np.random.default_rng(seed).random((200, 7)) < rate
    outcomes = [
        Outcome(n // 2, (0, 0, 1, 2, 3, 1, 7), tuple(map(bool, row))) for n, row in enumerate(right)
    ]
    document = {
        **summarize(outcomes).as_json(),
        "baseline": {"by_numops": {str(n): 15.0 for n in range(8)}},
        **outcomes_as_json(outcomes),
        "model": {"name": model, "fingerprint": "0123"},
        "data": {"sha256": "d1", "states": 200},
        "protocol": {"engine": "outlines", "prompt_format": prompt_format},
    }
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(document))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of Llama 7B, FLoat and a model that is not registered."""
    for name, rate, seed in (("llama-7b", 0.05, 1), ("float-7b", 0.08, 2)):
        _write(tmp_path / "runs" / name, registry().model(name).huggingface_id, rate, seed)
    _write(tmp_path / "runs" / "other", "somebody/else", 0.9, 3)
    return tmp_path / "runs"


def test_a_folder_of_runs(command: Command, runs: Path) -> None:
    """Claims about the models that were run are decided by the paired test, the others are not."""
    document = json.loads(command("--results", str(runs), "--json"))
    verdicts = {claim["id"]: claim["verdict"] for claim in document["claims"]}
    decided = {claim for claim, verdict in verdicts.items() if verdict != "not decidable"}
    assert decided == {"M2", "M3"}
    assert verdicts["M3"] == "supported"
    m2 = next(claim for claim in document["claims"] if claim["id"] == "M2")
    assert m2["parts"][0]["findings"][0]["test"] == "paired"
    assert document["ignored"] == [f"{runs / 'other' / 'result.json'}: somebody/else"]
    assert "left out: " in command("--results", str(runs))


def test_a_user_registry_names_local_models(command: Command, runs: Path, tmp_path: Path) -> None:
    """With ``--registry`` a result of one's own model is known, and decides no claim."""
    own = tmp_path / "own.toml"
    own.write_text(
        '[models.mine]\nname = "Mine"\nhuggingface_id = "somebody/else"\narchitecture = "llama"\n'
        'size = "7B"\nadded = []\nformat = "completion"\npaper = false\n'
    )
    with_own = json.loads(command("--results", str(runs), "--registry", str(own), "--json"))
    without = json.loads(command("--results", str(runs), "--json"))
    assert with_own["ignored"] == []
    assert with_own["claims"] == without["claims"]


def test_misuse_ends_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without results, or with one that is no result, is exit code 2 and one line."""
    (runs / "broken").mkdir()
    (runs / "broken" / "result.json").write_text("[]")
    for folder, words in ((runs, "not a JSON object"), (runs / "nowhere", "no result.json")):
        monkeypatch.setattr("sys.argv", ["benchmark", "claims", "--results", str(folder)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        error = capsys.readouterr().err
        assert ended.value.code == 2
        assert words in error
        assert error.count("\n") == 1
