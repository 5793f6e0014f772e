"""Environments as layers over this one, made by the real pip from wheels on disk."""

import os
import subprocess
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.upgrades import venv_overlays as making
from benchmark.upgrades.probes import Probe, Workbench
from benchmark.upgrades.venv_overlays import NotInstallableError, VenvOverlays

SHADOWED = "iniconfig"
"""A small library of this environment; the layer gets one of that name from disk."""


def _wheel(folder: Path, requires: str = "") -> str:
    """A wheel of another release; the requirement that names it."""
    info = f"{SHADOWED}-9999.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {SHADOWED}\nVersion: 9999.0\n{requires}"
    contents = {
        f"{SHADOWED}/__init__.py": "WHERE = 'layer'\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*contents, f"{info}/RECORD"))
    path = folder / f"{SHADOWED}-9999.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in {**contents, f"{info}/RECORD": record}.items():
            wheel.writestr(name, content)
    return f"{SHADOWED} @ {path.as_uri()}"


def _inside(python: Path, code: str) -> str:
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=plain)  # noqa: S603
    return done.stdout.strip()


def test_a_layer_has_its_own_and_all_that_is_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for comes first, all else is this environment's, which stays as it is."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    layer = VenvOverlays(tmp_path / "layers").make([_wheel(tmp_path)])
    code = "import iniconfig, numpy, importlib.metadata as m; print(iniconfig.WHERE, "
    code += "m.version('iniconfig'), m.version('numpy'))"
    assert _inside(layer.python, code) == f"layer 9999.0 {version('numpy')}"
    assert version(SHADOWED) != "9999.0"
    again = VenvOverlays(tmp_path / "layers").make([_wheel(tmp_path)])
    assert again == layer


def test_what_cannot_be_installed_is_one_line_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pip's own reason, the second time without pip, until it is to be tried again."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    layers = VenvOverlays(tmp_path / "layers")
    wanted = [_wheel(tmp_path, "Requires-Dist: no-such-library-anywhere\n")]
    for _ in range(2):
        with pytest.raises(NotInstallableError, match="no-such-library-anywhere"):
            layers.make(wanted)
    assert not list(layers.root.glob("*/"))
    layers.forget_refusals()
    assert not list(layers.root.glob("*.refused.txt"))


def test_what_failed_for_want_of_room_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk says nothing about a release."""
    reasons = iter(["ERROR: Could not install packages: [Errno 28] No space left on device", None])
    monkeypatch.setattr(making, "_install", lambda *_: next(reasons))
    made = VenvOverlays(tmp_path / "layers")
    with pytest.raises(NotInstallableError, match="No space left"):
        made.make(["numpy==1"])
    assert made.make(["numpy==1"]).python.exists()


PROBE = Probe("tokenizers", (), "")
ENDS = {
    "raise ImportError('broken release')": ("ImportError: broken release", 1),
    "import os; os.kill(os.getpid(), 9)": ("ended by signal 9", 2),
    "raise MemoryError": ("MemoryError", 2),
}


@pytest.mark.parametrize("program", ENDS)
def test_what_ended_for_want_of_memory_is_tried_again(program: str, tmp_path: Path) -> None:
    """A release that does not run is remembered as that; a machine's trouble is not."""
    reason, runs = ENDS[program]
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "__init__.py").touch()
    log = tmp_path / "runs"
    lines = (f"open({str(log)!r}, 'a').write('run\\n')", program)
    (tmp_path / "benchmark" / "__main__.py").write_text("\n".join(lines))
    made = VenvOverlays(tmp_path / "layers")
    for _ in range(2):
        bench = Workbench(tmp_path / "probes", made, PROBE, tmp_path, "code", print)
        assert bench.record(()) is None
        assert bench.reason(()) == f"does not run: {reason}"
    assert log.read_text().count("run") == runs


def test_half_a_layer_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the middle, the next attempt starts over."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    layers = VenvOverlays(tmp_path / "layers")
    layer = layers.make([])
    (layer.folder / "made.json").unlink()
    layer.python.unlink()
    assert _inside(layers.make([]).python, "import packaging; print('whole')") == "whole"


def test_what_is_no_requirement(tmp_path: Path) -> None:
    """Is refused before anything is made."""
    with pytest.raises(SettingError, match="write name==version"):
        VenvOverlays(tmp_path).make(["--index-url=x"])
    assert not list(tmp_path.iterdir())
