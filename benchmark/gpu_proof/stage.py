"""The process of one stage: ``python -m benchmark.gpu_proof.stage NAME DIR [--rehearse]``."""

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmark.errors import first_line
from benchmark.gpu_proof.circumstances import circumstances, digest
from benchmark.gpu_proof.environment import environment
from benchmark.gpu_proof.models import back_off, device_hops, outlines, widened
from benchmark.gpu_proof.plan import Context, sizes
from benchmark.gpu_proof.report import NotHereError, StageReport
from benchmark.gpu_proof.shapes import eight_bit, gemma
from benchmark.gpu_proof.suite import controls, gpu_tests
from benchmark.models.gpus import exact_products
from benchmark.package_data import package_parent

WORK: dict[str, Callable[[Context, StageReport], None]] = {
    "environment": environment,
    "gpu-tests": gpu_tests,
    "widened": widened,
    "outlines": outlines,
    "controls": controls,
    "back-off": back_off,
    "device-hops": device_hops,
    "gemma": gemma,
    "eight-bit": eight_bit,
}
"""What each stage does."""


def run(name: str, folder: Path, *, rehearsal: bool) -> StageReport:
    """Run a stage in this process and return its report; its errors are part of it."""
    control = package_parent() / "fixtures" / "models" / "track"
    now = circumstances(rehearsal=rehearsal)
    context = Context(folder, sizes(rehearsal=rehearsal), rehearsal, control, digest(now))
    report = StageReport(folder / f"{name}.json", rehearsal, circumstances=now)
    started = time.monotonic()
    report.write()
    exact_products()  # as every run has them; some stages load no model by the loader
    try:
        WORK[name](context, report)
    except NotHereError as error:
        report.end(time.monotonic() - started, reason=str(error), not_run=True)
    except Exception as error:  # noqa: BLE001  # the report of a stage has any error
        lines = traceback.format_exception(error)
        report.figures["traceback"] = "".join(lines)[-3000:]
        reason = f"{type(error).__name__}: {first_line(error)}"
        report.end(time.monotonic() - started, reason=reason)
    else:
        report.end(time.monotonic() - started)
    return report


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), rehearsal="--rehearse" in sys.argv)
