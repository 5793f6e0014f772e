"""Overlays on this environment, built by the real pip from wheels on disk."""

import os
import subprocess
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.upgrades import venv_overlays
from benchmark.upgrades.probes import Probe
from benchmark.upgrades.venv_overlays import NotInstallableError, VenvOverlays
from benchmark.upgrades.workbench import Workbench

SHADOWED = "iniconfig"
"""A small library of this environment; the overlay has another one of that name."""


def _wheel(folder: Path, requires: str = "", library: str = SHADOWED) -> str:
    """Write a wheel of another release; return the requirement that names it."""
    info = f"{library}-9999.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {library}\nVersion: 9999.0\n{requires}"
    contents = {
        f"{library}/__init__.py": "WHERE = 'overlay'\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*contents, f"{info}/RECORD"))
    path = folder / f"{library}-9999.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in {**contents, f"{info}/RECORD": record}.items():
            wheel.writestr(name, content)
    return f"{library} @ {path.as_uri()}"


def _inside(python: Path, code: str) -> str:
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=plain)  # noqa: S603
    return done.stdout.strip()


def test_overlay_shadows_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own libraries come first, all others come from this environment, which is not changed."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    layer = VenvOverlays(tmp_path / "layers").build([_wheel(tmp_path)])
    code = "import iniconfig, numpy, importlib.metadata as m; print(iniconfig.WHERE, "
    code += "m.version('iniconfig'), m.version('numpy'))"
    assert _inside(layer.python, code) == f"overlay 9999.0 {version('numpy')}"
    assert version(SHADOWED) != "9999.0"
    again = VenvOverlays(tmp_path / "layers").build([_wheel(tmp_path)])
    assert again == layer


def test_overlay_that_breaks_a_requirement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip installs it all the same; the probe is not run, and the reason is kept."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    bench = Workbench(
        tmp_path / "probes", VenvOverlays(tmp_path / "overlays"), PROBE, tmp_path, "code", print
    )
    wheel = _wheel(tmp_path, library="tokenizers")
    assert bench.record((wheel,)) is None
    reason = bench.reason((wheel,))
    required = f"cannot run: transformers {version('transformers')} requires tokenizers"
    assert reason.startswith(required)
    assert reason.endswith(", but 9999.0 is installed")
    assert not list((tmp_path / "probes").glob("*/*"))
    assert bench.builder.build([_wheel(tmp_path)]).unmet == ()


def test_uninstallable_requirement_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is pip's own line, also the second time, until it is forgotten."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    layers = VenvOverlays(tmp_path / "layers")
    requirements = [_wheel(tmp_path, "Requires-Dist: no-such-library-anywhere\n")]
    for _ in range(2):
        with pytest.raises(NotInstallableError, match="no-such-library-anywhere"):
            layers.build(requirements)
    assert not list(layers.root.glob("*/"))
    layers.forget_refusals()
    assert not list(layers.root.glob("*.refused.txt"))


def test_full_disk_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is not a property of the release."""
    reasons = iter(["ERROR: Could not install packages: [Errno 28] No space left on device", None])
    monkeypatch.setattr(venv_overlays, "_install", lambda *_: next(reasons))
    overlays = VenvOverlays(tmp_path / "layers")
    with pytest.raises(NotInstallableError, match="No space left"):
        overlays.build(["numpy==1"])
    assert overlays.build(["numpy==1"]).python.exists()


PROBE = Probe("tokenizers", (), "")
ENDS = {
    "raise ImportError('broken release')": ("ImportError: broken release", 1),
    "import os; os.kill(os.getpid(), 9)": ("ended by signal 9", 2),
    "raise MemoryError": ("MemoryError", 2),
}


@pytest.mark.parametrize("program", ENDS)
def test_out_of_memory_is_tried_again(program: str, tmp_path: Path) -> None:
    """A release that cannot run is remembered, a transient failure is not."""
    reason, runs = ENDS[program]
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "__init__.py").touch()
    log = tmp_path / "runs"
    lines = (f"open({str(log)!r}, 'a').write('run\\n')", program)
    (tmp_path / "benchmark" / "__main__.py").write_text("\n".join(lines))
    overlays = VenvOverlays(tmp_path / "layers")
    for _ in range(2):
        bench = Workbench(tmp_path / "probes", overlays, PROBE, tmp_path, "code", print)
        assert bench.record(()) is None
        assert bench.reason(()) == f"cannot run: {reason}"
    assert log.read_text().count("run") == runs


def test_unfinished_overlay_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted build starts over."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    layers = VenvOverlays(tmp_path / "layers")
    layer = layers.build([])
    (layer.folder / "made.json").unlink()
    layer.python.unlink()
    assert _inside(layers.build([]).python, "import packaging; print('whole')") == "whole"


def test_invalid_requirement_is_refused(tmp_path: Path) -> None:
    """It is refused before anything is built."""
    with pytest.raises(SettingError, match="write name==version"):
        VenvOverlays(tmp_path).build(["--index-url=x"])
    assert not list(tmp_path.iterdir())
