"""The proof on a GPU: its stages in this process, with small models on the CPU."""

import json
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from benchmark.decoding.engines import compile_constraint
from benchmark.decoding.speculative import pass_costs
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.model_runner import ModelRunner
from benchmark.errors import DataError, SettingError
from benchmark.gpu_proof import run, stage
from benchmark.gpu_proof.circumstances import Circumstances, circumstances, digest
from benchmark.gpu_proof.decoding import load
from benchmark.gpu_proof.plan import Context, Stage, architecture, chosen, sizes, stages
from benchmark.gpu_proof.report import StageReport, read_report
from benchmark.gpu_proof.suite import differing_outcomes
from benchmark.gpu_proof.summary import NEVER_PROVED, is_proved, summary_lines
from benchmark.gpu_proof.wheelhouse import gather, wheelhouse
from benchmark.tasks import DEFAULT, task_named
from fakes.command_line import command_line

ROOT = Path(__file__).parents[3]


def test_every_stage_has_a_row_and_work() -> None:
    """The order is that of the table; sizes for a GPU and for a rehearsal are complete."""
    assert list(stages()) == sorted(stage.WORK, key=list(stages()).index)
    assert sum(row.minutes for row in stages().values()) <= 10
    for rehearsal in (True, False):
        named = sizes(rehearsal=rehearsal)
        shapes = [architecture(s) for s in (named.wide, named.spread, named.gemma, named.eight_bit)]
        assert all((shape.hidden_size > 1000) is not rehearsal for shape in shapes)
    assert list(chosen("gemma, environment")) == ["gemma", "environment"]
    with pytest.raises(SettingError, match="no stage 'gema'"):
        chosen("gema")


@pytest.mark.parametrize("name", ["environment", "widened", "back-off", "device-hops"])
def test_rehearsed_stages_are_proved(tmp_path: Path, name: str) -> None:
    """They run on the CPU through the lines of the GPU; figures and checks are in the file."""
    report = stage.run(name, tmp_path, rehearsal=True)
    assert report.status == "proved", (report.reason, report.checks, report.figures)
    assert read_report(tmp_path / f"{name}.json") == report
    assert report.checks
    assert report.figures


def test_products_are_those_of_runs(tmp_path: Path) -> None:
    """In every stage, also those that load no model by the loader."""
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True  # torch's default
    figures = stage.run("environment", tmp_path, rehearsal=True).figures
    assert not figures["reduced_bfloat16_sums"]
    assert not figures["tf32"]


def test_eight_bit_does_not_run_on_a_cpu(tmp_path: Path) -> None:
    """It is neither proved nor a failure."""
    report = stage.run("eight-bit", tmp_path, rehearsal=True)
    assert report.status == "not run"
    assert is_proved(["eight-bit"], tmp_path)


@pytest.mark.parametrize(("name", "proved"), [("eight-bit", True), ("controls", False)])
def test_what_a_gpu_may_leave_out(tmp_path: Path, name: str, proved: bool) -> None:  # noqa: FBT001
    """8 bit, without bitsandbytes; tests that cannot start are no proof."""
    report = StageReport(tmp_path / f"{name}.json", rehearsal=False)
    report.end(1.0, reason="not installed", not_run=True)
    assert is_proved([name], tmp_path) is proved


def test_a_rehearsal_shares_no_model_with_a_proof(tmp_path: Path) -> None:
    """Its models are small, and would be taken for those of real size."""
    rehearsal, proof = (
        Context(tmp_path, sizes(rehearsal=small), small, tmp_path) for small in (True, False)
    )
    assert rehearsal.models != proof.models
    assert rehearsal.store != proof.store


def test_passes_are_timed_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU is waited for before both readings of the clock."""
    events: list[str] = []

    def clock() -> float:
        events.append("clock")
        return 0.0

    monkeypatch.setattr(pass_costs, "synchronize", events.append)
    monkeypatch.setattr(ModelRunner, "run", lambda *_: events.append("run"))
    monkeypatch.setattr(time, "perf_counter", clock)
    track = load(ROOT / "fixtures" / "models" / "track", "cpu", "float32")
    constraint = compile_constraint(task_named(DEFAULT).expression, track.tokenizer, track.model)
    automaton = Automaton.from_constraint(constraint, track.tokenizer.token_bytes)
    events.clear()
    assert list(pass_costs.passes(track.model, automaton, 1))
    assert events[-5:] == ["cpu", "clock", "run", "cpu", "clock"]


def test_an_error_is_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was measured before it."""

    def fail(_: object, report: StageReport) -> None:
        report.figure(first=1)
        report.check("this holds", holds=True)
        raise RuntimeError("CUDA error: an illegal memory access")

    monkeypatch.setitem(stage.WORK, "gemma", fail)
    stage.run("gemma", tmp_path, rehearsal=True)
    report = read_report(tmp_path / "gemma.json")
    assert report is not None
    assert report.status == "failed"
    assert report.figures["first"] == 1
    assert report.reason == "RuntimeError: CUDA error: an illegal memory access"
    assert not is_proved(["gemma"], tmp_path)


def test_a_process_that_exceeds_its_limit(tmp_path: Path) -> None:
    """Its report says so, and keeps what the process has written."""
    row = Stage(proves="nothing", minutes=1, limit=1)
    report = run.run_stage("environment", row, tmp_path, rehearsal=True)
    assert report.status == "failed"
    assert report.reason == "ended after its limit of 1 s"


def _ran(
    monkeypatch: pytest.MonkeyPatch,
    failing: Sequence[str] = (),
    here: Circumstances | None = None,
) -> list[str]:
    """Replace the processes; return the names of the stages that run, as they do.

    ``here`` has the circumstances, by default those of this machine.
    """
    names: list[str] = []

    def run_stage(name: str, _: Stage, out: Path, *, rehearsal: bool) -> StageReport:
        names.append(name)
        now = circumstances(rehearsal=rehearsal) if here is None else dict(here)
        report = StageReport(out / f"{name}.json", rehearsal, circumstances=now)
        report.figure(
            disk_bytes_per_second=2_000_000_000, seconds_a_layer=0.00025, fixed=41.5, per_row=0.5
        )
        report.check("the first", holds=True)
        report.check("the second", holds=name not in failing)
        report.end(2.0)
        return report

    monkeypatch.setattr(run, "run_stage", run_stage)
    return names


def test_the_command_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that failed run again, those that are proved do not; the summary has all."""
    names = _ran(monkeypatch, failing=["widened"])
    words = ("gpu-proof", "--rehearse", "--stages", "environment,widened", "--out", tmp_path)
    done = command_line(*words)
    assert done.returncode == 1
    assert "| widened | failed | 2 |" in done.stdout
    assert "widened: the second\n" in done.stdout
    assert "It proves nothing about a GPU." in done.stdout
    assert "| environment | rehearsed | 2 |" in done.stdout
    assert (tmp_path / "summary.md").read_text() == done.stdout
    _ran(monkeypatch)
    done = command_line(*words, "--json")
    assert done.returncode == 0
    assert names == ["environment", "widened"]
    assert set(json.loads(done.stdout)["stages"]) == {"environment", "widened"}
    assert json.loads((tmp_path / "proof.json").read_text()) == json.loads(done.stdout)
    assert "environment: done before" in done.stderr


def test_a_proof_of_some_stages_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary is of all reports in the folder, and so are the measured constants."""
    names = _ran(monkeypatch)
    monkeypatch.setattr(run, "has_gpu", lambda: True)
    for stages_ in ("widened", "gemma"):
        run.prove(chosen(stages_), tmp_path, rehearsal=False, say=lambda _: None)
    assert names == ["widened", "gemma"]
    text = (tmp_path / "summary.md").read_text()
    assert "| widened | proved | 2 |" in text
    assert "| gemma | proved | 2 |" in text
    assert "seconds_a_layer = 0.00025" in text
    assert set(json.loads((tmp_path / "proof.json").read_text())["stages"]) == {"widened", "gemma"}
    assert "| widened | not run |" in "\n".join(summary_lines(tmp_path, rehearsal=True))


def test_a_stage_proved_elsewhere_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other code, cards and libraries count, another commit with the same code does not."""
    here: Circumstances = {"commit": "a", "code": "1", "card": "H100", "torch": "2.11"}
    names, said = _ran(monkeypatch, here=here), list[str]()
    monkeypatch.setattr(run, "has_gpu", lambda: True)
    monkeypatch.setattr(run, "circumstances", lambda **_: dict(here))
    for change in ({}, {"commit": "b"}, {"card": "H200"}, {"code": "2"}):
        here |= change
        run.prove(chosen("gemma"), tmp_path, rehearsal=False, say=said.append)
    assert names == ["gemma"] * 3
    again = [line for line in said if "runs again" in line]
    assert again == [
        'gemma: done before, but card was "H100", now "H200"; it runs again',
        'gemma: done before, but code was "1", now "2"; it runs again',
    ]
    document = json.loads((tmp_path / "gemma.json").read_text())
    assert document["circumstances"] == here
    del document["circumstances"]  # as older versions wrote it
    (tmp_path / "gemma.json").write_text(json.dumps(document))
    run.prove(chosen("gemma"), tmp_path, rehearsal=False, say=said.append)
    assert len(names) == 4


def test_circumstances_of_a_stage(tmp_path: Path) -> None:
    """A report has the code and the libraries; measurements of others are not reused."""
    report = stage.run("eight-bit", tmp_path, rehearsal=True)
    assert report.circumstances == circumstances(rehearsal=True)
    assert report.circumstances["torch"] == torch.__version__
    stores = {
        Context(
            tmp_path,
            sizes(rehearsal=True),
            rehearsal=True,
            control=tmp_path,
            named=digest(one),
        ).store
        for one in (report.circumstances, {**report.circumstances, "code": "other"})
    }
    assert len(stores) == 2


def test_without_a_gpu_it_is_refused(tmp_path: Path) -> None:
    """A rehearsal has to be asked for, and its reports do not count for a GPU."""
    done = command_line("gpu-proof", "--out", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--rehearse" in done.stderr
    assert not (tmp_path / "out").exists()


def test_rehearsed_reports_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU a stage that was only rehearsed runs; constants are printed for the data files."""
    names = _ran(monkeypatch)
    monkeypatch.setattr(run, "has_gpu", lambda: True)
    for rehearsal in (True, False, False):
        run.prove(chosen("widened"), tmp_path, rehearsal=rehearsal, say=lambda _: None)
    assert names == ["widened", "widened"]
    text = "\n".join(summary_lines(tmp_path, rehearsal=False))
    assert "disk_bytes_per_second = 2000000000\nseconds_a_layer = 0.00025\n" in text
    assert "cost_model.toml, `[cuda]`:\n\n```toml\nfixed = 41.5\nper_row = 0.5\n" in text
    assert all(words in text for words in NEVER_PROVED)


def test_outcomes_are_compared_state_by_state() -> None:
    """Fewer states than recorded are compared with the first; a result without any is an error."""
    recorded = {"outcomes": ["1101111", "1111111", "0011111"]}
    assert differing_outcomes({"outcomes": ["1101111", "1111101"]}, recorded) == [1]
    assert not differing_outcomes(recorded, recorded)
    with pytest.raises(DataError, match="without outcomes"):
        differing_outcomes({}, recorded)


def _wheel(path: Path, files: dict[str, bytes], needs: str = "numpy>=1") -> None:
    files = {**files, "bitsandbytes-1.dist-info/METADATA": f"Requires-Dist: {needs}\n".encode()}
    record = "".join(f"{name},sha256=x,{len(content)}\n" for name, content in files.items())
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        wheel.writestr("bitsandbytes-1.dist-info/RECORD", record)


def test_wheels_are_repacked(tmp_path: Path) -> None:
    """Bitsandbytes keeps the library for one version of CUDA; others are not in its list either."""
    keep = wheelhouse().repacked["bitsandbytes"].keep
    asked: list[str] = []

    def download(packages: Sequence[str], folder: Path) -> None:
        asked.extend(packages)
        files = {name: bytes(1000) for name in (keep, "bitsandbytes/libbitsandbytes_cuda118.so")}
        files["bitsandbytes/__init__.py"] = b"pass"
        _wheel(folder / "bitsandbytes-1-py3-none-any.whl", files)

    lines: list[str] = []
    (path,) = gather(tmp_path / "wheels", lines.append, download)
    with zipfile.ZipFile(path) as wheel:
        assert "bitsandbytes/libbitsandbytes_cuda118.so" not in wheel.namelist()
        assert {keep, "bitsandbytes/__init__.py"} <= set(wheel.namelist())
        record = wheel.read("bitsandbytes-1.dist-info/RECORD").decode()
    assert keep in record
    assert "cuda118" not in record
    assert "outlines>=1.2.10" in asked
    assert lines[0].startswith("1 wheels, ")
    with pytest.raises(SettingError, match="has wheels already"):
        gather(tmp_path / "wheels", lines.append, download)


def test_wheels_that_cannot_be_used(tmp_path: Path) -> None:
    """Too large together, or without the library that is kept: the error names them."""

    def other(_: Sequence[str], folder: Path) -> None:
        _wheel(
            folder / "bitsandbytes-1-py3-none-any.whl",
            {"bitsandbytes/libbitsandbytes_cuda999.so": b""},
        )

    def misfit(_: Sequence[str], folder: Path) -> None:
        _wheel(folder / "pydantic-2-py3-none-any.whl", {}, "pydantic_core==2.50.5")
        _wheel(folder / "pydantic_core-2.50.6-py3-none-any.whl", {})

    def large(_: Sequence[str], folder: Path) -> None:
        path = folder / "outlines-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr("outlines/data", bytes(wheelhouse().limit_bytes))
            wheel.writestr("outlines-1.dist-info/METADATA", "")

    with pytest.raises(DataError, match=r"it has bitsandbytes/libbitsandbytes_cuda999\.so"):
        gather(tmp_path / "a", print, other)
    with pytest.raises(SettingError, match="more than the limit; outlines-1"):
        gather(tmp_path / "b", print, large)
    with pytest.raises(DataError, match=r"needs pydantic_core==2\.50\.5, but 2\.50\.6"):
        gather(tmp_path / "c", print, misfit)
