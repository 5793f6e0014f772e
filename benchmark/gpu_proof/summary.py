"""What the proof has shown, in words and as Markdown."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.gpu_proof.plan import stages
from benchmark.gpu_proof.report import StageReport, read_report
from benchmark.writing import write_text

NEVER_PROVED = (
    "real weights, and fetching them from the hub",
    "models spread over several GPUs, and several workers on several GPUs",
    "cards of 24 GB, and other generations than the one it ran on",
)
"""What no stage shows."""


_OPTIONAL = frozenset({"eight-bit"})
"""Stages that need a package which a machine with a GPU may lack."""


def summary_lines(out: Path, *, rehearsal: bool) -> Iterator[str]:
    """Yield the lines of the summary of all reports in a folder, which is Markdown."""
    reports = _reports(out, rehearsal=rehearsal)
    yield "# Proof on a GPU" + (": a rehearsal on a CPU" if rehearsal else "")
    yield ""
    if rehearsal:
        yield "This is a rehearsal with small models on a CPU. It proves nothing about a GPU."
        yield ""
    yield "| stage | result | seconds | what a success proves |"
    yield "|---|---|---:|---|"
    for name, stage in stages().items():
        report = reports.get(name)
        status: str = report.status if report else "not run"
        if rehearsal and status == "proved":
            status = "rehearsed"
        seconds = f"{report.seconds:.0f}" if report else ""
        yield f"| {name} | {status} | {seconds} | {stage.proves} |"
    yield from _circumstances(reports)
    yield from _problems(reports)
    yield ""
    yield "Not proved by any stage: " + "; ".join(NEVER_PROVED) + "."
    if not rehearsal:
        yield from _constants(reports)


def _reports(out: Path, *, rehearsal: bool) -> dict[str, StageReport]:
    """Return the reports in a folder by stage, those of a rehearsal or those of a proof."""
    read = {name: read_report(out / f"{name}.json") for name in stages()}
    return {name: one for name, one in read.items() if one and one.rehearsal == rehearsal}


def write_summary(out: Path, *, rehearsal: bool) -> None:
    """Write ``summary.md``, and all reports as one file, ``proof.json``."""
    lines = summary_lines(out, rehearsal=rehearsal)
    write_text(out / "summary.md", (f"{line}\n" for line in lines))
    document = json.dumps(reports_as_json(out, rehearsal=rehearsal), indent=2)
    write_text(out / "proof.json", [document, "\n"])


_SHOWN = ("card", "driver", "cuda", "torch", "transformers", "commit", "code")
"""The circumstances that the summary names; the reports have all."""


def _circumstances(reports: Mapping[str, StageReport]) -> Iterator[str]:
    """Yield on what stages ran, with the stages if that is not the same for all."""
    ran = dict[str, list[str]]()
    for name, report in reports.items():
        named = {n: report.circumstances.get(n) for n in _SHOWN}
        text = ", ".join(f"{n} {value}" for n, value in named.items() if value)
        ran.setdefault(text or "not recorded", []).append(name)
    for text, names in ran.items():
        yield ""
        yield f"Ran with: {text}" + (f" ({', '.join(names)})." if len(ran) > 1 else ".")


def _problems(reports: Mapping[str, StageReport]) -> Iterator[str]:
    for name, report in reports.items():
        if report.status == "proved":
            continue
        failed = [words for words, holds in report.checks.items() if not holds]
        yield ""
        yield f"{name}: {'; '.join([*failed, *([report.reason] if report.reason else [])])}"


_CONSTANTS = {
    "benchmark/planning/planning.toml, `[assumptions]`": (
        "disk_bytes_per_second",
        "seconds_a_layer",
    ),
    "benchmark/decoding/speculative/cost_model.toml, `[cuda]`": ("fixed", "per_row"),
}
"""The files that measured constants are for."""


def _constants(reports: Mapping[str, StageReport]) -> Iterator[str]:
    """Yield what was measured in the form of the data files, if it was."""
    report = reports.get("widened")
    measured = {} if report is None else report.figures
    for file, names in _CONSTANTS.items():
        if all(name in measured for name in names):
            lines = [f"{name} = {_number(measured[name])}" for name in names]
            yield from ("", f"For {file}:", "", "```toml", *lines, "```")


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def is_proved(chosen: Sequence[str], out: Path) -> bool:
    """Return whether every stage is proved.

    In a rehearsal one that needs a GPU may be left out, on a GPU one that needs bitsandbytes.
    """
    reports = {name: read_report(out / f"{name}.json") for name in chosen}
    return all(
        report
        and (
            report.status == "proved"
            or (report.status == "not run" and (report.rehearsal or name in _OPTIONAL))
        )
        for name, report in reports.items()
    )


def reports_as_json(out: Path, *, rehearsal: bool) -> dict[str, object]:
    """Return all reports in a folder by stage, and what no stage proves."""
    reports = _reports(out, rehearsal=rehearsal)
    shown = {name: report.as_json() for name, report in reports.items()}
    return {"stages": shown, "never_proved": list(NEVER_PROVED)}
