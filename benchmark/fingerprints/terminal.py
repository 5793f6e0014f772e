"""Show a comparison of two fingerprints on the terminal, at most 80 columns wide."""

import re
from collections.abc import Iterator
from io import StringIO

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmark.fingerprints.comparison import FingerprintDiff, Severity
from benchmark.fingerprints.error_changes import error_change_line
from benchmark.fingerprints.stage_diffs import StageDiff
from benchmark.fingerprints.stages import STAGES
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.constants import POWER
from benchmark.stats.paired import PairedTest
from benchmark.stats.points import signed, signed_points
from benchmark.stats.states_needed import few_states_warning
from benchmark.terminal import GuardedConsole, p_value, plain_table

_STYLES = {
    Severity.SAME: "green",
    Severity.NOISE: "green",
    Severity.DRIFT: "yellow",
    Severity.REGRESSION: "red",
}
_SHOWN = 6
"""The number of suspects and margins that are shown; ``--json`` has all of them."""

_WIDTH = 80

_DIGEST = re.compile(r"[0-9a-f]{32,}")

_GAPS = 10
"""The margins of a table of five columns and the spaces between them."""

_NARROWEST = 12
"""The narrowest column of values; digests are cut to it."""

_REACH = {4: "raised the error", 3: "direct", 2: "upstream", 1: "possible", 0: "none"}


def comparison_report(comparison: FingerprintDiff) -> RenderableType:
    """Return the changed stages, their extent, examples, and the suspected causes."""
    parts: list[RenderableType] = [_headline(comparison)]
    parts += map(Text, summary_lines(comparison))
    if comparison.stage_diffs:
        parts.append(_stages(comparison))
    parts += [_flips(comparison, by) for by in comparison.flipped_scores]
    if comparison.answer_changes:
        parts.append(_margins(comparison))
    parts += list(_examples(comparison))
    if comparison.suspects and comparison.stage:
        parts.append(_suspects(comparison))
    return Group(*parts)


MARGINS = ("state", "token", "old", "new", "old margin", "new margin")


def rendered(comparison: FingerprintDiff) -> str:
    """Return the report as plain text, at most 80 columns wide."""
    console = GuardedConsole(file=StringIO(), width=_WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(comparison_report(comparison))
    return capture.get()


def headline(comparison: FingerprintDiff, separator: str = "; ") -> str:
    """Return severity, differing models and first changed stage, by default in one line."""
    parts = (_models(comparison), _first_change(comparison))
    return f"{comparison.severity.value}: {separator.join(filter(None, parts))}"


def _models(comparison: FingerprintDiff) -> str:
    if comparison.different_models is None:
        return ""
    old, new = comparison.different_models
    if old == new:
        return f"different files of the model {old}"
    return f"different models ({old} and {new})"


def _first_change(comparison: FingerprintDiff) -> str:
    if comparison.stage is None:
        same = comparison.severity is Severity.SAME
        line = "nothing differs" if same else "nothing changed beyond the noise floor"
        return line + " in the stages that both records have" * bool(comparison.uncompared)
    first = comparison.changed[0]
    extent = f"{len(first.states)} of {first.of}{' states' * (first.of > 1)}"
    if first.failed:
        extent = "fails now" if len(first.states) == first.of else f"fails in {extent}"
    elif first.note and not first.states:  # the states that both records have are equal
        extent = first.note
    return f"first changed stage: {first.stage} ({extent})"


def summary_lines(comparison: FingerprintDiff) -> Iterator[str]:
    """Yield the comparison's figures in sentences."""
    yield from (f"{name}: {line}" for name, line in comparison.failed.items())
    single = {
        **comparison.uncompared,
        **{f"outcomes by {by}": where for by, where in comparison.uncompared_scores.items()},
    }
    if single:
        names = ", ".join(f"{name} (only {where})" for name, where in single.items())
        yield f"not compared, since only one record has them: {names}"
    measured = "measured" if comparison.floor.measured is not None else "not measured"
    if comparison.logit_diffs:
        yield (
            f"log-probabilities: largest difference {comparison.largest:.4f} nats, mean KL "
            f"{comparison.divergence:.2e}"
        )
        yield f"noise floor: {comparison.floor.largest:.4f} nats ({measured})"
    for by in dict.fromkeys((MAIN, *comparison.flipped_scores)):
        if test := comparison.tests.get(by):
            name = "outcomes" if by == MAIN else f"outcomes by {by}"
            yield from (f"{name}: {line}" for line in _test_lines(test, comparison.margin))
    if comparison.errors:
        yield error_change_line(comparison.errors)
    if comparison.answer_changes:
        near = len(comparison.excused)
        yield f"answers: {len(comparison.answer_changes)} changed, {near} of them at near ties only"
    if comparison.other_hardware:
        yield f"hardware differs, so rounding does too: {' -> '.join(hardware(comparison))}"


def _test_lines(test: PairedTest, margin: float) -> Iterator[str]:
    yield (
        f"{test.gained} gained, {test.lost} lost of {test.queries} queries, "
        f"{signed_points(test.difference, 2)} points"
    )
    decision = test.differs()
    doubt = ", too few for a test" if decision.doubt else ""
    yield f"p {p_value(decision.p)}, {test.clusters} sequences as clusters{doubt}"
    if (detectable := decision.effect.detectable) is not None:
        yield f"could have seen {100 * detectable:.2f} points (power {100 * POWER:.0f} %)"
    yield test.is_equal(margin).summary()
    if warning := few_states_warning(test.states):
        yield warning


def hardware(comparison: FingerprintDiff) -> tuple[str, str]:
    """Return the hardware classes of the old and the new record."""
    records = (comparison.old, comparison.new)
    classes = [str(record.environment.hardware.get("hardware_class")) for record in records]
    return classes[0], classes[1]


def _headline(comparison: FingerprintDiff) -> Text:
    one_line = len(headline(comparison)) <= _WIDTH
    words = headline(comparison, "; " if one_line else ";\n")
    return Text(words, style=f"bold {_STYLES[comparison.severity]}")


def _stages(comparison: FingerprintDiff) -> Table:
    table = plain_table(None)
    for name in ("stage", "changed", "of", ""):
        table.add_column(name, justify="right" if name in {"changed", "of"} else "left")
    diffs = {stage_diff.stage: stage_diff for stage_diff in comparison.stage_diffs}
    for stage in STAGES:
        stage_diff = diffs.get(stage)
        if stage_diff is None:
            where = comparison.uncompared.get(stage)
            note = f"only in the {where} record" if where else ""
            table.add_row(stage, "?" if where else "-", "", note, style="dim")
        else:
            style = "bold" if stage == comparison.stage else ""
            count = str(len(stage_diff.states))
            table.add_row(stage, count, str(stage_diff.of), _remark(stage_diff), style=style)
    return table


def _remark(stage_diff: StageDiff) -> str:
    if stage_diff.failed:
        return stage_diff.failed if stage_diff.failed.startswith("not reached") else "fails"
    return stage_diff.note or ("within noise" if stage_diff.within else "")


def _flips(comparison: FingerprintDiff, by: str) -> Table:
    table = plain_table(None if by == MAIN else f"by {by}")
    by_numops = comparison.flips_by_numops(by)
    table.add_column("numops", justify="right")
    for numops in by_numops:
        table.add_column(str(numops), justify="right")
    for column, name in enumerate(("gained", "lost")):
        table.add_row(name, *(str(counts[column]) for counts in by_numops.values()))
    return table


def _margins(comparison: FingerprintDiff) -> Table:
    table = plain_table("First changed token of each answer, margins in nats")
    for name in MARGINS:
        table.add_column(name, justify="right")
    for row in margin_rows(comparison):
        table.add_row(*row)
    if (more := len(comparison.answer_changes) - _SHOWN) > 0:
        table.caption = f"{more} more; --json has all"
    return table


def margin_rows(comparison: FingerprintDiff) -> Iterator[tuple[str, ...]]:
    """Yield rows of the first answers that changed, under the heads of :data:`MARGINS`."""
    for change in comparison.answer_changes[:_SHOWN]:
        tokens = (change.old_token, change.new_token)
        margins = (change.margin, change.margin_new)
        yield (
            str(change.old),
            str(change.position),
            *("end" if token is None else str(token) for token in tokens),
            *("not kept" if margin is None else signed(margin, 4) for margin in margins),
        )


def example_lines(comparison: FingerprintDiff) -> Iterator[tuple[str, str, str]]:
    """Yield three lines per example: where it is, the old value and the new one."""
    for one in comparison.examples:
        yield f"state {one.state}, {one.where}", f"  old: {one.old!r}", f"  new: {one.new!r}"


def _examples(comparison: FingerprintDiff) -> Iterator[Text]:
    for where, old, new in example_lines(comparison):
        text = Text(f"{where}\n", style="bold")
        text.append(f"{old}\n", style="not bold red")
        text.append(new, style="not bold green")
        yield text


def _suspects(comparison: FingerprintDiff) -> Table:
    table = plain_table(f"Suspected causes, by how directly they affect {comparison.stage}")
    for name in ("", "suspect", "old", "new", "reach"):
        table.add_column(name, overflow="fold")
    rows = [(one.kind, one.name, _REACH[one.reach]) for one in comparison.suspects[:_SHOWN]]
    others = sum(max(map(len, column)) for column in zip(*rows, strict=True))
    width = max(_NARROWEST, (_WIDTH - _GAPS - others) // 2)
    for (kind, name, reach), suspect in zip(rows, comparison.suspects, strict=False):
        values = (suspect.old, suspect.new) if suspect.changed else ("unchanged", "")
        table.add_row(kind, name, *(_short(value, width) for value in values), reach)
    if (more := len(comparison.suspects) - _SHOWN) > 0:
        table.caption = f"{more} more; --json has all"
    return table


def _short(value: object, width: int) -> str:
    """Cut a value to the width of a column, and a digest to its first characters."""
    text = str(value)
    width = _NARROWEST if _DIGEST.fullmatch(text) else width
    return text if len(text) <= width else f"{text[: width - 1]}…"
