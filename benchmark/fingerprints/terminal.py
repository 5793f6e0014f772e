"""A comparison of two fingerprints on the terminal, at most 80 columns wide."""

import re
from collections.abc import Iterator
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmark.fingerprints.comparison import FingerprintDiff, Severity
from benchmark.fingerprints.stage_diffs import StageDiff
from benchmark.fingerprints.stages import STAGES
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.paired import FEWEST, PairedTest
from benchmark.terminal import p_value, plain_table

_STYLES = {
    Severity.SAME: "green",
    Severity.NOISE: "green",
    Severity.DRIFT: "yellow",
    Severity.REGRESSION: "red",
}
_SHOWN = 6
"""So many suspects and margins are shown; ``--json`` has all."""

_DIGEST = re.compile(r"[0-9a-f]{32,}")

_DIRECTNESS = {
    4: "raised it",
    3: "makes it",
    2: "feeds it",
    1: "may reach it",
    0: "does not reach it",
}


def shift_report(comparison: FingerprintDiff) -> RenderableType:
    """What moved, where it began, how much, examples, and what may have done it."""
    parts: list[RenderableType] = [_headline(comparison)]
    parts += map(Text, summary_lines(comparison))
    if comparison.stage_diffs:
        parts.append(_stages(comparison))
    parts += [_flips(comparison, by) for by in comparison.turned_scores]
    if comparison.changes:
        parts.append(_margins(comparison))
    parts += list(_examples(comparison))
    if comparison.suspects and comparison.stage:
        parts.append(_suspects(comparison))
    return Group(*parts)


MARGINS = ("state", "token", "old", "new", "margin then", "margin now")


def rendered(comparison: FingerprintDiff, width: int = 80) -> str:
    """The report as plain text of that width."""
    console = Console(file=StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(shift_report(comparison))
    return capture.get()


def headline(comparison: FingerprintDiff) -> str:
    """Severity and earliest stage, in one line."""
    if comparison.stage is None:
        said = {
            Severity.SAME: "same: nothing differs",
            Severity.NOISE: "noise: nothing moved beyond the noise floor",
        }.get(comparison.severity, comparison.severity.value)
        return said + " in the stages that both have" * bool(comparison.uncompared)
    first = comparison.moved[0]
    how = "fails now" if first.failed else f"moved in {len(first.states)} of {first.of}"
    unit = " states" if first.of > 1 and not first.failed else ""
    if first.note and not first.states and not first.failed:  # what both have is the same
        how, unit = f"differs: {first.note}", ""
    return f"{comparison.severity.value}: it began at {first.stage}, which {how}{unit}"


def summary_lines(comparison: FingerprintDiff) -> Iterator[str]:
    """The figures in sentences."""
    yield from (f"{name}: {line}" for name, line in comparison.failed.items())
    apart = {
        **comparison.uncompared,
        **{f"outcomes by {by}": where for by, where in comparison.uncompared_scores.items()},
    }
    if apart:
        names = ", ".join(f"{name} (only {where})" for name, where in apart.items())
        yield f"not compared, since one record has them only: {names}"
    measured = "measured" if comparison.floor.measured is not None else "not measured"
    if comparison.shifts:
        yield (
            f"log-probabilities: largest difference {comparison.largest:.4f} nats, mean KL "
            f"{comparison.divergence:.2e}; noise floor {comparison.floor.largest:.4f} ({measured})"
        )
    for by in dict.fromkeys((MAIN, *comparison.turned_scores)):
        if test := comparison.tests.get(by):
            yield f"{'outcomes' if by == MAIN else f'outcomes by {by}'}: {_test_words(test)}"
    if comparison.changes:
        near = len(comparison.excused)
        yield f"answers: {len(comparison.changes)} changed, {near} of them by near ties only"
    if comparison.other_hardware:
        yield f"hardware differs: {' -> '.join(hardware(comparison))}; roundings differ with it"


def _test_words(test: PairedTest) -> str:
    return (
        f"{test.gained} gained, {test.lost} lost of {test.queries} queries, "
        f"{100 * test.difference:+.2f} points; p {p_value(test.two_sided)} by "
        f"{test.clusters} sequences{', too few to tell' * (test.clusters < FEWEST)}"
    )


def hardware(comparison: FingerprintDiff) -> tuple[str, str]:
    """The hardware classes of old and new."""
    records = (comparison.old, comparison.new)
    classes = [str(each.environment.hardware.get("hardware_class")) for each in records]
    return classes[0], classes[1]


def _headline(comparison: FingerprintDiff) -> Text:
    return Text(headline(comparison), style=f"bold {_STYLES[comparison.severity]}")


def _stages(comparison: FingerprintDiff) -> Table:
    table = plain_table(None)
    for name in ("stage", "moved", "of", ""):
        table.add_column(name, justify="right" if name in {"moved", "of"} else "left")
    found = {stage_diff.stage: stage_diff for stage_diff in comparison.stage_diffs}
    for stage in STAGES:
        stage_diff = found.get(stage)
        if stage_diff is None:
            where = comparison.uncompared.get(stage)
            note = f"only in the {where} record" if where else ""
            table.add_row(stage, "?" if where else "-", "", note, style="dim")
        else:
            mark = "bold" if stage == comparison.stage else ""
            count = str(len(stage_diff.states))
            table.add_row(stage, count, str(stage_diff.of), _words(stage_diff), style=mark)
    return table


def _words(stage_diff: StageDiff) -> str:
    if stage_diff.failed:
        return stage_diff.failed if stage_diff.failed.startswith("not reached") else "fails"
    return stage_diff.note or ("within noise" if stage_diff.within else "")


def _flips(comparison: FingerprintDiff, by: str) -> Table:
    table = plain_table(None if by == MAIN else f"by {by}")
    by_numops = comparison.flips_by_numops(by)
    table.add_column("numops", justify="right")
    for numops in by_numops:
        table.add_column(str(numops), justify="right")
    for place, name in enumerate(("gained", "lost")):
        table.add_row(name, *(str(counts[place]) for counts in by_numops.values()))
    return table


def _margins(comparison: FingerprintDiff) -> Table:
    table = plain_table("First changed token of each answer, margins in nats")
    for name in MARGINS:
        table.add_column(name, justify="right")
    for row in margin_rows(comparison):
        table.add_row(*row)
    if (more := len(comparison.changes) - _SHOWN) > 0:
        table.caption = f"{more} more; --json has all"
    return table


def margin_rows(comparison: FingerprintDiff) -> Iterator[tuple[str, ...]]:
    """The first answers that changed, under the heads of :data:`MARGINS`."""
    for change in comparison.changes[:_SHOWN]:
        tokens = (change.old_token, change.new_token)
        margins = (change.margin, change.margin_new)
        yield (
            str(change.old),
            str(change.position),
            *("end" if token is None else str(token) for token in tokens),
            *("not kept" if margin is None else f"{margin:+.4f}" for margin in margins),
        )


def example_lines(comparison: FingerprintDiff) -> Iterator[tuple[str, str, str]]:
    """Where each example is, and what old and new have there."""
    for each in comparison.examples:
        yield f"state {each.state}, {each.where}", f"  old: {each.old!r}", f"  new: {each.new!r}"


def _examples(comparison: FingerprintDiff) -> Iterator[Text]:
    for where, old, new in example_lines(comparison):
        text = Text(f"{where}\n", style="bold")
        text.append(f"{old}\n", style="not bold red")
        text.append(new, style="not bold green")
        yield text


def _suspects(comparison: FingerprintDiff) -> Table:
    table = plain_table(f"What differs, by how directly it reaches {comparison.stage}")
    for name in ("", "suspect", "old", "new", "reach"):
        table.add_column(name, overflow="fold")
    for suspect in comparison.suspects[:_SHOWN]:
        values = (suspect.old, suspect.new) if suspect.changed else ("unchanged", "")
        table.add_row(
            suspect.kind,
            suspect.name,
            *map(_short, values),
            _DIRECTNESS[suspect.reach],
        )
    if (more := len(comparison.suspects) - _SHOWN) > 0:
        table.caption = f"{more} more; --json has all"
    return table


def _short(value: object) -> str:
    """A value as wide as a column allows; of a digest as much as tells two apart."""
    text = str(value)
    width = 12 if _DIGEST.fullmatch(text) else 24
    return text if len(text) <= width else f"{text[: width - 1]}…"
