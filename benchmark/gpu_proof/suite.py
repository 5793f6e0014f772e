"""Stages that run tests of the checkout with pytest."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmark.errors import DataError
from benchmark.gpu_proof.plan import Context
from benchmark.gpu_proof.report import NotHereError, StageReport
from benchmark.lifetime import run_tied
from benchmark.package_data import package_parent
from benchmark.reading.documents import read_json

_KEPT = 2000


def gpu_tests(context: Context, report: StageReport) -> None:
    """Run the tests of the default engine on the device."""
    done, counts = _pytest(context, "gpu-tests", str(package_parent() / "tests" / "gpu"))
    report.figure(tests=counts, output=done.stdout[-_KEPT:])
    report.check("every test passes, and none is skipped", _all_pass(done, counts))


def controls(context: Context, report: StageReport) -> None:
    """Run the reproduction's cases with the controls, twice: measured, then from the store."""
    root = package_parent()
    words = (
        str(root / "tests" / "reproduction" / "test_pairs.py"),
        f"--registry={root / 'fixtures' / 'models' / 'registry.toml'}",
        f"--model-store={context.store.resolve()}",
        f"--states={64 if context.rehearsal else 717}",
        "--dtype=float32",  # whose outcomes are recorded
        "-n2",
        *("--dist", "loadfile"),
        "-k",
        "control",
    )
    first, counts = _pytest(context, "controls", *words)
    report.figure(first=counts, output=first.stdout[-_KEPT:])
    report.check("no test breaks off", counts.get("tests", 0) > 0 and not counts.get("errors", 1))
    verdicts = _verdicts(first.stdout)
    report.figure(verdicts=verdicts)
    report.check("copy-a to track is supported", "gain: supported" in verdicts.get("track", ""))
    results = sorted(context.store.glob("*/result.json"))
    times = [path.stat().st_mtime_ns for path in results]
    report.check("each control is measured once", len(results) == len(_controls(root)))
    for key, differing in _differing(results, root).items():
        report.figure(**{f"{key}_differing_states": differing})
        report.check(f"the outcomes of {key} are those recorded on a CPU", not differing)
    again, counts = _pytest(context, "controls-again", *words)
    report.figure(again=counts)
    report.check("the second run has the same verdicts", _verdicts(again.stdout) == verdicts)
    report.check(
        "the second run measures nothing", [p.stat().st_mtime_ns for p in results] == times
    )


def _differing(results: Sequence[Path], root: Path) -> dict[str, list[int]]:
    """Return the states whose outcomes are not those of the snapshots, by control."""
    recorded = {
        path.stem.rpartition("[")[2].removesuffix("]"): path
        for path in (root / "snapshots" / "test_controls").glob("*.json")
    }
    return {
        key: differing_outcomes(read_json(path), read_json(recorded[key]))
        for path in results
        if (key := path.parent.name.rpartition("-")[0]) in recorded
    }


def differing_outcomes(measured: object, recorded: object) -> list[int]:
    """Return the measured states whose outcomes differ; both are documents of results.

    ``outcomes`` has the right and wrong answers of each state, such as "1101111".
    """
    pairs = zip(_outcomes(measured), _outcomes(recorded), strict=False)
    return [state for state, (one, other) in enumerate(pairs) if one != other]


def _outcomes(document: object) -> list[object]:
    outcomes = document.get("outcomes") if isinstance(document, dict) else None
    if not isinstance(outcomes, list) or not outcomes:
        raise DataError("a result without outcomes")
    return outcomes


def _controls(root: Path) -> list[Path]:
    return sorted((root / "fixtures" / "models").glob("*/config.json"))


def _verdicts(output: str) -> dict[str, str]:
    """Return the verdicts of the summary by the last word of a pair's name."""
    lines = re.findall(r"^control-\S*?(\w+) +(.*)$", output, re.MULTILINE)
    return {name: words.strip() for name, words in lines}


def _pytest(
    context: Context, name: str, *words: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, int]]:
    """Run the tests marked ``gpu`` among these; return the process and the counts of outcomes.

    Raises:
        NotHereError: if pytest, or a plugin of the tests, is not installed.
    """
    junit = (context.folder / f"{name}.xml").resolve()
    device = ["--device=cpu"] if context.rehearsal else []
    command = [sys.executable, "-m", "pytest", *words, "-m", "gpu", *device, f"--junitxml={junit}"]
    root = package_parent()
    done = run_tied([*command, "-q", "-p", "no:cacheprovider", f"--rootdir={root}"])
    if "No module named" in done.stderr or "unrecognized arguments" in done.stderr:
        raise NotHereError(f"the tests cannot start: {done.stderr.strip()[-300:]}")
    return done, _counts(junit)


def _counts(junit: Path) -> dict[str, int]:
    if not junit.is_file():
        return {}
    suite = ET.parse(junit).getroot().find("testsuite")  # noqa: S314  # pytest's own
    names = ("tests", "failures", "errors", "skipped")
    return {} if suite is None else {name: int(suite.get(name, "0")) for name in names}


def _all_pass(done: subprocess.CompletedProcess[str], counts: dict[str, int]) -> bool:
    rest = (counts.get(name, 1) for name in ("failures", "errors", "skipped"))
    return not done.returncode and counts.get("tests", 0) > 0 and not any(rest)
