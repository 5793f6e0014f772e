"""``--history FILE``: what each verb keeps of a run."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from benchmark.cli.options import OUTPUT, option
from benchmark.cli.writing import Output, check_writable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmark.fingerprints.comparison import FingerprintDiff
    from benchmark.fingerprints.record import Fingerprint
    from benchmark.gate.result import GateResult
    from benchmark.history.entries import Entry
    from benchmark.upgrades.findings import CanaryResult, ProbeResult

HistoryFile = Annotated[
    Path | None,
    option("Append the result to this history.", "--history", metavar="FILE", panel=OUTPUT),
]


def check_history(path: Path | None) -> None:
    """Check before long work that a history can be appended to.

    Raises:
        DataError: if it is damaged.
        SettingError: if it cannot be written.
        OSError: if its folder cannot be made.
    """
    from benchmark.history.entries import read_history

    check_writable(path)
    if path is not None and path.exists():
        read_history(path)


def keep(path: Path | None, entry: "Entry", output: Output) -> dict[str, object]:
    """Append an entry to a history, print its alarms, and return it evaluated, as JSON.

    If that fails, a line on standard error says so: the finished result is reported all the same.

    Returns:
        An object with the field ``history``; an empty one without a history, or if it failed.
    """
    from benchmark.errors import BenchmarkError, reason

    if path is None:
        return {}
    try:
        return _kept(path, entry, output)
    except (BenchmarkError, OSError) as error:
        print(f"warning: not kept in the history {path}: {reason(error)}", file=sys.stderr)
        return {}


def _kept(path: Path, entry: "Entry", output: Output) -> dict[str, object]:
    from benchmark.history.entries import append
    from benchmark.history.table import alarm_lines
    from benchmark.history.trends import evaluate_file

    append(path, entry)
    history = evaluate_file(path)
    for line in alarm_lines(history):
        output.remark(line)
    return {"history": history.as_json()}


def alarms_of(path: Path | None) -> "Sequence[str]":
    """Return a line per alarm of a history; none without a history.

    Raises:
        DataError: if it is damaged.
    """
    from benchmark.history.table import alarm_lines
    from benchmark.history.trends import evaluate_file

    return alarm_lines(evaluate_file(path)) if path else ()


def gate_entry(result: "GateResult") -> "Entry":
    """Return the entry of ``gate``: the new scores, and the tasks that are worse."""
    from benchmark.history.entries import Entry

    figures = {
        f"{name} {task.paired.metric}": task.decision.effect.value
        for name, task in result.tasks.items()
    }
    alarms = [f"{name} is worse" for name in result.tasks_with("worse")]
    parts = (result.model_words, result.kinds[1], f"margin {result.margin:g}")
    watch = ", ".join(filter(None, parts))
    return Entry(
        *("gate", result.verdict, result.exit_status, alarms, figures, result.name), watch=watch
    )


def comparison_entry(comparisons: "Mapping[str, FingerprintDiff]", status: int) -> "Entry":
    """Return the entry of ``compare``: the first changed stage, and how much changed."""
    from benchmark.history.entries import Entry

    figures, alarms = dict[str, float](), list[str]()
    one = len(comparisons) == 1
    for name, comparison in comparisons.items():
        figures |= _figures(comparison, "" if one else name)
        if not comparison.severity.within_noise:
            alarms.append(f"{'' if one else f'{name} '}{comparison.stage or 'states missing'}")
    verdict = ", ".join(sorted({c.severity.value for c in comparisons.values()}))
    watch = ", ".join(_watch(comparison.new) for comparison in comparisons.values())
    return Entry("compare", verdict, status, alarms, figures, ", ".join(comparisons), watch=watch)


def canary_entry(result: "CanaryResult", watch: str) -> "Entry":
    """Return the entry of ``canary``: causes without versions, and how much changed.

    ``watch`` is the model and the settings; the names of the upgrades are added.
    """
    from benchmark.history.entries import Entry

    figures = dict[str, float]()
    for probe in result.probes:
        if probe.comparison:
            figures |= _figures(probe.comparison, probe.probe)
    alarms = [line for probe in result.probes for line in _alarms(probe)]
    if result.suite and result.suite.exit_status:
        alarms.append("suite fails")
    verdict = ", ".join(sorted({probe.severity.value for probe in result.probes}))
    watch = " ".join([watch, *sorted(map(_library, result.upgrades))])
    subject = ", ".join(result.upgrades)
    return Entry("canary", verdict, result.exit_status, alarms, figures, subject, watch=watch)


def fingerprint_entry(record: "Fingerprint") -> "Entry":
    """Return the entry of ``fingerprint``: the accuracy by each score, and stages that failed."""
    from benchmark.fingerprints.storage import failed
    from benchmark.history.entries import Entry

    alarms = [f"{stage} fails" for stage in failed(record.stages)]
    figures = dict[str, float]()
    for by, outcomes in record.scores.items():
        right = [correct for outcome in outcomes for correct in outcome.correct]
        if right:
            figures[f"accuracy by {by}"] = sum(right) / len(right)
    verdict = "failed" if alarms else "recorded"
    return Entry("fingerprint", verdict, 0, alarms, figures, watch=_watch(record))


def _watch(record: "Fingerprint") -> str:
    """Return the model of a record, and a digest of the settings and the data."""
    from hashlib import sha256

    environment = record.environment
    settings = json.dumps([dict(environment.protocol), dict(environment.data)], sort_keys=True)
    return f"{environment.model.get('name')} {sha256(settings.encode()).hexdigest()[:8]}"


def _alarms(probe: "ProbeResult") -> list[str]:
    if probe.severity.within_noise:
        return []
    stage = (probe.difference.stage if probe.difference else None) or "cannot run"
    causes = [" with ".join(sorted(map(_library, cause))) for cause in probe.causes]
    return [f"{probe.probe}: {stage}: {cause}" for cause in causes or ["unknown cause"]]


def _library(upgrade: str) -> str:
    from packaging.requirements import Requirement

    return Requirement(upgrade).name


def _figures(comparison: "FingerprintDiff", name: str) -> dict[str, float]:
    before = f"{name} " if name else ""
    figures = {f"{before}mean KL": comparison.divergence}
    if comparison.test:
        figures[f"{before}change of accuracy"] = comparison.test.difference
    return figures
