"""The scripts in docs/ that produce figures of docs/log.md and of `plan`."""

import os
import runpy
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.pass_costs import Size, fitted
from benchmark.models.hardware import cpu_kind
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "copy-a"
STATES = 24


def test_the_profile_names_what_takes_time(capsys: pytest.CaptureFixture[str]) -> None:
    """The profile lists products and attention."""
    runpy.run_path(str(ROOT / "docs" / "engine_profile.py"))["main"](str(MODEL), "2")
    table = capsys.readouterr().out
    assert "linear" in table
    assert "attention" in table


@pytest.mark.parametrize("rows", [1, 8])
def test_replay_of_a_perfect_model(rows: int) -> None:
    """With a GPU's costs and known answers it takes little more than one pass per batch."""
    replayed = runpy.run_path(str(ROOT / "docs" / "engine_replay.py"))["replayed"]
    tokenizer = load_tokenizer(locate(str(MODEL)))
    states = load_states(DataRequest(seed=0, states=STATES))
    settings = resolve(RunRequest(str(MODEL), Path("unused"), device="cpu"))
    correct = Questions(task_named(DEFAULT), settings, tokenizer, states).drafts
    cost_model = CostModel.on("cuda", rows)
    drafted, undrafted = (
        replayed(tokenizer, answers, correct, cost_model) for answers in (correct, {})
    )
    assert 1 + STATES // rows <= drafted.passes < 1 + 1.5 * STATES / rows + 2
    assert undrafted.passes > 2 * drafted.passes


def test_costs_of_passes_are_fitted() -> None:
    """Seconds that follow the formula have its costs in every unit, and no spread."""
    sizes = [(1, 1), (1, 64), (8, 16), (32, 32), (32, 448)]
    for token in (1.0, 1e-4):
        costs = fitted([Size(r, n, token * (12 + 0.3 * r + n)) for r, n in sizes])
        assert costs[:3] == pytest.approx((12, 0.3, token), rel=1e-6)
        assert costs.spread < 1e-9
    # A fit with a negative cost: the spread is that of the costs without it, (1.3 - 0.3) / 0.3.
    costs = fitted([Size(r, n, 0.3 * r + n - 1) for r, n in sizes])
    assert costs == pytest.approx((0, 0.3, 1, 1 / 0.3))


def test_costs_of_this_processor_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The output is a row of the file, for this kind of processor."""
    runpy.run_path(str(ROOT / "docs" / "engine_costs.py"))["main"](str(MODEL), repeats="1")
    row = tomllib.loads(capsys.readouterr().out)["cpu"]["kinds"][cpu_kind()]
    assert set(row) == {"fixed", "per_row", "date", "source"}
    assert min(row["fixed"], row["per_row"]) >= 0


HIDDEN = """
import torch
from benchmark.decoding.speculative.fused.compilation import target_features
from benchmark.models.hardware import cpu_kind, cpu_name
torch_flags = torch.cpu._is_avx512_supported(), torch.cpu._is_amx_tile_supported()
print(cpu_kind(), torch.backends.cpu.get_cpu_capability(), *torch_flags)
print("+avx512f" in target_features(), "+amx-tile" in target_features())
print(cpu_name())
"""


@pytest.mark.skipif(cpu_kind() not in {"amx", "avx512-bf16", "avx512", "avx2"}, reason="not x86-64")
@pytest.mark.parametrize("kind", ["avx512-bf16", "avx512", "avx2"])
def test_instructions_are_hidden(kind: str) -> None:
    """The benchmark and torch see a processor of that kind, or of this one's if it has less."""
    command = [sys.executable, str(ROOT / "docs" / "hide_instructions.py"), kind]
    done = subprocess.run(  # noqa: S603
        [*command, sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True
    )
    kinds = ["avx2", "avx512", "avx512-bf16", "amx"]  # from less to more
    expected = min(kind, cpu_kind(), key=kinds.index)
    capability = "AVX2" if expected == "avx2" else "AVX512"
    is_wide = str(capability == "AVX512")
    seen, compiled_for, name = done.stdout.splitlines()
    assert seen.split() == [expected, capability, is_wide, "False"]
    assert compiled_for.split() == [is_wide, "False"]
    assert name.endswith(f" as if {kind}")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["mmx", "true"], 2, "invalid choice: 'mmx'"),
        (["avx2"], 2, "the command is missing"),
        (["avx2", "no-such-command"], 2, "no-such-command: No such file"),
        (["avx2", "false"], 1, ""),
        (["avx2", "sh", "-c", "kill -TERM $$"], 128 + 15, ""),
    ],
)
def test_status_of_a_hidden_command(words: list[str], status: int, message: str) -> None:
    """It is the command's, or 2 with a message that says what is wrong."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(ROOT / "docs" / "hide_instructions.py"), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert message in done.stderr


def test_a_hidden_command_that_is_interrupted() -> None:
    """It ends in its own way, and what it prints is not lost."""
    code = """if True:
        import time
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(1)
            print("what was finished")
            raise SystemExit(130)
    """
    # The tests may run where SIGINT is ignored, as behind `nohup`.
    with_interrupts = """if True:
        import runpy, signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        del sys.argv[0]
        runpy.run_path(sys.argv[0], run_name="__main__")
    """
    script = str(ROOT / "docs" / "hide_instructions.py")
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", with_interrupts, script, "avx2", sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "what was finished\n"
    assert process.returncode == 130
