"""Options with choices: a wrong value prints them, and they are those of the tables."""

from typing import get_args

import pytest

from benchmark.boxes.splits import SHARES
from benchmark.cli import options
from benchmark.cli.bisect import ReleaseProbe
from benchmark.cli.choices import engine_names, task_names, variant_names
from benchmark.cli.fingerprint import ProbeName
from benchmark.cli.plan import Experiment
from benchmark.decoding.engines import ENGINES
from benchmark.decoding.protocols import protocol
from benchmark.errors import SettingError
from benchmark.models.loading import DTYPES
from benchmark.models.registry_types import Training
from benchmark.prompts.settings import FORMATS, Bos, Role
from benchmark.upgrades.probes import PROBES
from fakes.command_line import command_line

RUN = ("run", "--model", "m", "--out", "o")


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("--engine", engine_names()),
        ("--task", task_names()),
        ("--prompt-variant", variant_names()),
        ("--protocol", ("default", "paper")),
        ("--prompt-format", FORMATS),
        ("--instruction-role", get_args(Role)),
        ("--bos", get_args(Bos)),
        ("--dtype", DTYPES),
        ("--quantization", ("8bit",)),
    ],
)
def test_wrong_value_prints_the_choices(option: str, names: tuple[str, ...]) -> None:
    """One line, exit code 2, with every choice."""
    done = command_line(*RUN, option, "soup")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    line = f"Invalid value for '{option}': 'soup' is not one of {', '.join(map(repr, names))}. See"
    assert line in done.stderr or line.replace("one of '8bit'", "'8bit'") in done.stderr


def test_wrong_experiment_prints_the_choices() -> None:
    """The option of plan has choices too."""
    done = command_line("plan", "--experiment", "soup")
    names = ", ".join(map(repr, get_args(Training)))
    assert f"Invalid value for '--experiment': 'soup' is not one of {names}" in done.stderr


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:a", "CPU", "cpu:0"])
def test_wrong_device(device: str) -> None:
    """The form is checked before anything is loaded."""
    done = command_line(*RUN, "--device", device)
    assert f"{device!r} is not auto, cpu, cuda, cuda:N or cuda:N,M" in done.stderr


def test_fixed_choices_are_those_of_the_tables() -> None:
    """Choices that are types have the values that the rest of the code knows."""
    assert get_args(options.DtypeName) == DTYPES
    assert get_args(options.FormatName) == FORMATS
    assert get_args(Experiment) == get_args(Training)
    assert set(get_args(options.Split)) == set(SHARES)
    elsewhere = {"server", "vllm", "llama.cpp"}
    assert {*get_args(ProbeName)} - {"own"} - elsewhere | {"fingerprint"} == set(PROBES)
    assert {name for name, row in ENGINES.items() if row.connect} == elsewhere
    assert {*get_args(ReleaseProbe)} == {*get_args(ProbeName)} - {"server"}
    with pytest.raises(SettingError, match="choose one of default, paper"):
        protocol("soup")
