"""Killed searches: they resume, and leave nothing of probes and environments behind."""

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from benchmark.errors import DataError, SettingError
from benchmark.locking import locked
from benchmark.upgrades import probes, venv_overlays
from benchmark.upgrades.bisection import bisect
from benchmark.upgrades.canary import canary
from benchmark.upgrades.probes import Probe, run_probe
from benchmark.upgrades.venv_overlays import VenvOverlays
from benchmark.writing import temporary_folder
from fakes import forked, injected
from fakes.fake_bench import FakeBench, fake_bench

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")

RELEASES = ("1.0", "1.1", "1.2", "2.0")
SOAK = int(os.environ.get("SOAK_FAULTS", "0"))
"""How many kills are tried for each search; 0 for a few."""


def _stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
    """Token ids change with release 1.2; release 1.1 cannot be imported."""
    if libraries.get("numpy") == "1.1":
        return None
    return {"prompt_ids": str(libraries.get("numpy", "1.0") >= "1.2")}


def _bisect(bench: FakeBench) -> object:
    return bisect("numpy", RELEASES, bench).as_json()


def _canary(bench: FakeBench) -> object:
    return canary(("numpy==2.0", "scipy==1"), [bench], bench.say).as_json()


def _searching(search: Callable[[FakeBench], object], place: Path) -> Callable[[], None]:
    """Return a search that begins as the command does, and writes its result and its probes."""

    def run() -> None:
        bench, _ = fake_bench(place / "probes", _stages)
        bench.remove_leftovers()
        result = search(bench)
        (place.parent / "result.json").write_text(json.dumps([result, bench.runs]))

    return run


def _started(work: Callable[[], None], folder: Path) -> forked.Process:
    process = forked.Process(work, folder)
    process.wait()
    return process


def _left(place: Path) -> list[str]:
    names = (path.name for path in place.rglob("*"))
    return [name for name in names if name.endswith(".part") or "unfinished" in name]


@pytest.mark.parametrize("search", [_bisect, _canary])
def test_a_killed_search_resumes(search: Callable[[FakeBench], object], tmp_path: Path) -> None:
    """At any change of a file: the same result, no probe that was finished runs again."""
    clean = tmp_path / "clean" / "work"
    clean.mkdir(parents=True)
    log = tmp_path / "changes"
    work = injected.faulty(_searching(search, clean), clean, injected.Fault(), log)
    assert _started(work, tmp_path / "first").returncode == 0
    expected, probes = json.loads((clean.parent / "result.json").read_text())
    changes = len(log.read_text().splitlines())
    assert changes > 20
    for at in range(0, changes, max(1, changes // (SOAK or 4))):
        place = tmp_path / str(at) / "work"
        place.mkdir(parents=True)
        fault = injected.faulty(
            _searching(search, place), place, injected.Fault(at), place.parent / "log"
        )
        assert _started(fault, place.parent / "killed").returncode == -signal.SIGKILL
        kept = len([*place.rglob("*.json.gz")]) + len([*place.rglob("*.failed.txt")])
        kept -= sum(".part/" in str(path) for path in place.rglob("*.json.gz"))
        assert _started(_searching(search, place), place.parent / "again").returncode == 0
        result, runs = json.loads((place.parent / "result.json").read_text())
        assert result == expected, at
        assert len(runs) == len(probes) - kept, at
        assert not _left(place), at


def test_leftovers_of_running_processes_are_kept(tmp_path: Path) -> None:
    """Those of dead processes are removed, of this version and of older ones."""
    bench, _ = fake_bench(tmp_path, _stages)
    folder = tmp_path / "fingerprint-1"
    folder.mkdir()
    host = _host(tmp_path)
    dead = _started(lambda: None, tmp_path / "process").pid
    for pid in (dead, os.getppid()):
        (folder / f".a.json.gz.{host}-{pid}.part").mkdir()
        (folder / f"unfinished-{pid}-b.json.gz").touch()
    (folder / f".c.json.gz.elsewhere-{dead}.part").mkdir()
    (folder / "d.json.gz").touch()
    bench.remove_leftovers()
    assert {path.name for path in folder.iterdir()} == {
        f".a.json.gz.{host}-{os.getppid()}.part",
        f"unfinished-{os.getppid()}-b.json.gz",
        f".c.json.gz.elsewhere-{dead}.part",
        "d.json.gz",
    }


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_number_that_another_process_has_now(tmp_path: Path) -> None:
    """A process that began after the last change of a leftover is not its owner."""
    bench, _ = fake_bench(tmp_path, _stages)
    leftover = tmp_path / "fingerprint-1" / f".a.json.gz.{_host(tmp_path)}-{os.getpid()}.part"
    leftover.mkdir(parents=True)
    os.utime(leftover, (0, 0))
    bench.remove_leftovers()
    assert not leftover.exists()


def _host(folder: Path) -> str:
    """Return the host in the names of hidden files."""
    with temporary_folder(folder / "x") as temporary:
        return temporary.name.removeprefix(".x.").rpartition("-")[0]


@pytest.fixture
def overlays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VenvOverlays:
    """Overlays into which a fake pip installs one file."""

    def install(overlay: venv_overlays.VenvOverlay, _: object) -> str | None:
        (overlay.folder / "half").write_text("half")
        (overlay.folder / "installed").write_text("whole")
        return None

    monkeypatch.setattr(venv_overlays, "_install", install)
    return VenvOverlays(tmp_path / "environments")


def test_a_killed_build_leaves_no_environment(overlays: VenvOverlays, tmp_path: Path) -> None:
    """The next start removes what is not whole, and builds it again."""
    log = tmp_path / "log"

    def build() -> None:
        overlays.build(["numpy==2"])

    work = injected.faulty(build, overlays.root, injected.Fault(), log)
    assert _started(work, tmp_path / "first").returncode == 0
    changes = len(log.read_text().splitlines())
    for at in range(1, changes, max(1, changes // (SOAK or 3))):
        root = tmp_path / f"killed-{at}"
        broken = VenvOverlays(root)
        fault = injected.faulty(
            partial(broken.build, ["numpy==2"]),
            root,
            injected.Fault(at),
            tmp_path / f"log-{at}",
        )
        assert _started(fault, tmp_path / f"process-{at}").returncode == -signal.SIGKILL
        broken.remove_unfinished()
        folders = [path for path in root.iterdir() if path.is_dir()]
        assert all((folder / "made.json").is_file() for folder in folders)
        assert (broken.build(["numpy==2"]).folder / "installed").is_file()
        assert not _left(root)


def test_an_environment_that_is_being_built_is_kept(overlays: VenvOverlays) -> None:
    """It has a lock, which its builder holds."""
    folder = overlays.build(["numpy==2"]).folder
    (folder / "made.json").unlink()
    with locked(overlays.root / f"{folder.name}.lock", "building", "wait"):
        overlays.remove_unfinished()
        assert folder.exists()
    overlays.remove_unfinished()
    assert not folder.exists()


def test_an_interrupted_build_is_removed(
    overlays: VenvOverlays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C or a full disk there is no folder."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(venv_overlays, "_install", interrupt)
    with pytest.raises(KeyboardInterrupt):
        overlays.build(["numpy==2"])
    assert not [path for path in overlays.root.iterdir() if path.is_dir()]


@pytest.mark.parametrize("content", [b"", b"PK", b"\x1f\x8b"])
def test_a_damaged_record_is_an_error(tmp_path: Path, content: bytes) -> None:
    """The line names the file; without it the record is made again."""
    bench, _ = fake_bench(tmp_path, _stages)
    assert bench.record(("numpy==1.0",))
    (path,) = tmp_path.rglob("*.json.gz")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"json\.gz: .*; remove the file to make the record again"):
        bench.record(("numpy==1.0",))
    path.unlink()
    assert bench.record(("numpy==1.0",))


def test_a_damaged_note_of_a_failure_is_an_error(tmp_path: Path) -> None:
    """An empty one, as of a kill, counts for nothing."""
    bench, _ = fake_bench(tmp_path, _stages)
    assert bench.record(("numpy==1.1",)) is None
    (path,) = tmp_path.rglob("*.failed.txt")
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"failed\.txt: .*; remove the file to try again"):
        bench.record(("numpy==1.1",))
    path.write_bytes(b"")
    assert bench.record(("numpy==1.1",)) is None
    assert path.read_text() == "ImportError: broken release\n"
    assert bench.reason(("numpy==1.1",)) == "cannot run: ImportError: broken release"


@pytest.mark.parametrize("name", ["python", "folder"])
def test_what_was_removed_meanwhile_is_no_failure_of_the_probe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost environment or folder is an error, so that no failure is remembered."""
    (tmp_path / "python").touch()
    (tmp_path / "folder").mkdir()

    def lose(command: Sequence[str], **_: object) -> CompletedProcess[str]:
        (tmp_path / name).rename(tmp_path / "away")
        return CompletedProcess([*command], 2, "", "error: x")

    monkeypatch.setattr(probes, "run_tied", lose)
    probe, out = Probe("tokenizers", (), ""), tmp_path / "folder" / "x.json.gz"
    with pytest.raises(SettingError, match=rf"{name}: removed while the probe ran; rerun"):
        run_probe(tmp_path / "python", tmp_path, probe, out, None)


@pytest.mark.parametrize(("kind", "measured"), [("grammars", True), ("vanilla", False)])
def test_requirements_of_unused_libraries(tmp_path: Path, kind: str, *, measured: bool) -> None:
    """Outlines pins outlines_core; a probe that never imports outlines runs all the same."""
    bench, _ = fake_bench(tmp_path, _stages)
    bench.probe = Probe(kind, (), "")
    line = "outlines 1.3.3 requires outlines_core==0.2.14, but 0.2.11 is installed"
    bench.builder.unmet = {"outlines_core==0.2.11": line}
    assert (bench.record(("outlines_core==0.2.11",)) is not None) is measured
    assert measured or bench.reason(("outlines_core==0.2.11",)) == f"cannot run: {line}"
