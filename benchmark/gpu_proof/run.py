"""Run the stages, each in a process of its own with a limit."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmark.errors import SettingError, first_line
from benchmark.gpu_proof.circumstances import change, circumstances
from benchmark.gpu_proof.plan import Stage
from benchmark.gpu_proof.report import StageReport, read_report
from benchmark.gpu_proof.summary import write_summary
from benchmark.lifetime import run_tied
from benchmark.models.gpus import has_gpu
from benchmark.package_data import package_parent
from benchmark.writing import ensure_folder

Say = Callable[[str], None]

_KEPT = 2000
"""Characters of a failed process's output that its report keeps."""


def check_repository() -> Path:
    """Return the checkout: some stages are its tests.

    Raises:
        SettingError: if the package is installed without it.
    """
    root = package_parent()
    if not (root / "tests" / "reproduction").is_dir():
        raise SettingError(f"gpu-proof runs the tests of a checkout, and {root} has none")
    return root


def prove(chosen: Mapping[str, Stage], out: Path, *, rehearsal: bool, say: Say) -> list[Path]:
    """Run the stages that are not proved yet; return the files of their reports.

    One that was proved by other code, on another card or with other libraries runs again. The
    summary, of all reports in the folder, is written after every stage, in case this process is
    ended too.

    Raises:
        SettingError: without a GPU, unless it is a rehearsal.
    """
    check_repository()
    if not rehearsal and not has_gpu():
        raise SettingError("gpu-proof needs a CUDA GPU; --rehearse runs it with small models here")
    ensure_folder(out)
    reports, now = [], circumstances(rehearsal=rehearsal)
    for name, stage in chosen.items():
        path = out / f"{name}.json"
        reports.append(path)
        before = read_report(path)
        if before and before.status == "proved" and before.rehearsal == rehearsal:
            if not (changed := change(before.circumstances, now)):
                say(f"{name}: done before, in {before.seconds:.0f} s")
                continue
            say(f"{name}: done before, but {changed}; it runs again")
        say(f"{name}: at most {stage.limit} s ...")
        report = run_stage(name, stage, out, rehearsal=rehearsal)
        say(f"{name}: {report.status}, {report.seconds:.0f} s {report.reason}".rstrip())
        write_summary(out, rehearsal=rehearsal)
    return reports


def run_stage(name: str, stage: Stage, out: Path, *, rehearsal: bool) -> StageReport:
    """Run one stage in its process; what it has not written itself is recorded here."""
    path = out / f"{name}.json"
    path.unlink(missing_ok=True)
    words = [sys.executable, "-m", "benchmark.gpu_proof.stage", name, str(out)]
    started = time.monotonic()
    reason = ""
    try:
        done = run_tied([*words, *(["--rehearse"] * rehearsal)], timeout=stage.limit)
        if done.returncode:
            reason = f"exit status {done.returncode}: {(done.stdout + done.stderr)[-_KEPT:]}"
    except subprocess.TimeoutExpired:
        reason = f"ended after its limit of {stage.limit} s"
    except OSError as error:
        reason = first_line(error)
    report = read_report(path) or StageReport(path, rehearsal)
    if report.status == "unfinished" or reason:
        report.end(time.monotonic() - started, reason=reason or "its process ended early")
    return report
