"""The page: one self-contained file that opens from disk."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from benchmark import __version__
from benchmark.hypotheses.claims import Claim, JudgedClaim
from benchmark.hypotheses.findings import figures
from benchmark.hypotheses.sensitivity import published_verdicts, variations
from benchmark.report.accuracy_tables import table_3, table_6
from benchmark.report.charts import FEW_QUERIES, Chart, panel
from benchmark.report.data import Audit, PairView, ReportData, RunComparison, RunView
from benchmark.report.error_views import FAMILIES, error_bars, error_tables
from benchmark.report.explorer import explorer
from benchmark.report.forest import forest
from benchmark.report.model_tables import table_1, table_4
from benchmark.report.run_results import run_results, run_table
from benchmark.report.table_model import TableModel
from benchmark.report.templates import asset, csp_hash, script_json, template_environment
from benchmark.runs.paired_table import decided_otherwise
from benchmark.scoring.error_types import ERROR_TYPES
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.constants import MIN_CLUSTERS_FOR_INTERVAL
from benchmark.stats.decision import Verdict
from benchmark.stats.paired import AdjustedPValues, PairedTest
from benchmark.stats.states_needed import few_states_warning
from benchmark.stats.summary import Estimate

_EXPERIMENTS = {
    "code": "Additional code training (Experiment 1)",
    "math": "Additional math training (Experiment 2)",
    "alignment": "Alignment tuning (Experiment 3)",
    "control": "Control pairs, which calibrate the benchmark and are not evidence about code",
}

_SCRIPTS = ("page.js", "address.js", "explorer.js")
"""The parts of the page's script, in the order in which they run."""


class Judgement(NamedTuple):
    """A claim decided on one set of results, with the figures of its verdict.

    ``set_figures`` are those of the verdict by the score ``set``, if that differs.
    """

    source: str
    judged: JudgedClaim
    figures: list[str]
    set_figures: list[str]


class ClaimView(NamedTuple):
    """A claim with its verdict on each set of results."""

    claim: Claim
    judgements: tuple[Judgement, ...]

    @property
    def status(self) -> Verdict:
        """The status on the last set of results: that of the report's runs, if there are any."""
        return self.judgements[-1].judged.verdict.status


class PairCard(NamedTuple):
    """A pair with its chart."""

    view: PairView
    panel: Chart


class Setting(NamedTuple):
    """A setting that a run's result depends on."""

    name: str
    value: str


class ComparisonRow(NamedTuple):
    """A group of queries in a comparison: both runs' estimates and the paired test.

    ``p`` is adjusted, see :func:`benchmark.stats.paired.adjusted`.
    """

    name: str
    base: Estimate
    variant: Estimate
    test: PairedTest
    p: float


def tables(report: ReportData) -> tuple[TableModel, ...]:
    """Return the tables of the runs, if there are any, and Tables 1, 3, 4 and 6."""
    runs = [run_table(report), *error_tables(report)] if report.runs else []
    return *runs, table_1(), table_3(report), table_4(), table_6(report)


def page(report: ReportData, report_tables: Sequence[TableModel]) -> str:
    """Return the page as HTML. It loads nothing, and only its own script can run."""
    style, script = asset("style.css"), Markup("").join(map(asset, _SCRIPTS))
    pair_groups = _pair_groups(report)
    run_tables = [table for table in report_tables if table.id == "table-runs"]
    error_names = {"table-errors", "table-groups", "table-odds"}
    return template_environment().get_template("page.html.jinja").render(
        version=__version__,
        report=report,
        style=style,
        style_hash=csp_hash(style),
        script=script,
        script_hash=csp_hash(script),
        data=script_json(explorer(report.runs, report.states)),
        claims=list(_claim_views(report.audits)),
        variations=[f"{one.choice} {one.value}".strip() for one in variations()],
        sensitivity=published_verdicts(),
        tallies=[_count_verdicts(audit) for audit in report.audits],
        results=run_results(report),
        forest=forest(pair_groups),
        pair_groups=[
            (title, [PairCard(view, panel(view, report.chance)) for view in views])
            for title, views in pair_groups.items()
        ],
        settings=[dict(settings(view)) for view in report.runs],
        differing_settings=_differing_settings(report.runs),
        comparisons=[
            (comparison, list(_comparison_rows(comparison, p)), decided_otherwise(comparison.tests))
            for comparison, p in zip(report.comparisons, report.p_values, strict=True)
        ],
        compared_with=_compared_with(report.comparisons),
        few_states_warning=few_states_warning,
        main_score=MAIN,
        few_queries=FEW_QUERIES,
        fewest_clusters=MIN_CLUSTERS_FOR_INTERVAL,
        run_table=run_tables[0] if run_tables else None,
        error_bars=error_bars(report),
        error_families={family: words for family, (words, _) in FAMILIES.items()},
        error_tables=[table for table in report_tables if table.id in error_names],
        error_titles={error.name: error.title for error in ERROR_TYPES},
        tables=[table for table in report_tables if table.id not in {"table-runs", *error_names}],
    )  # fmt: skip


def settings(view: RunView) -> Iterator[Setting]:
    """Yield every setting that the run's result depends on, with dotted names."""
    for name in ("model", "data", "prompts", "constraint", "protocol", "environment"):
        yield from _flatten(name, view.run.document.get(name))


def _flatten(name: str, value: object) -> Iterator[Setting]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(f"{name}.{key}", item)
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield Setting(name, text)


def _differing_settings(runs: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """Return the settings in which the runs differ, with each run's value."""
    by_run = [dict(settings(view)) for view in runs]
    names = dict.fromkeys(name for run in by_run for name in run)
    values = {name: [run.get(name, "-") for run in by_run] for name in names}
    return [(name, row) for name, row in values.items() if len(set(row)) > 1]


def _claim_views(audits: Sequence[Audit]) -> Iterator[ClaimView]:
    for judged_claims in zip(*(audit.judged for audit in audits), strict=True):
        judgements = (
            Judgement(audit.source, judged, figures(judged.verdict), _set_figures(judged))
            for audit, judged in zip(audits, judged_claims, strict=True)
        )
        yield ClaimView(judged_claims[0].claim, tuple(judgements))


def _set_figures(judged: JudgedClaim) -> list[str]:
    return figures(judged.other) if judged.other else []


def _count_verdicts(audit: Audit) -> tuple[str, dict[str, int]]:
    verdicts = [judged.verdict for judged in audit.judged]
    statuses: tuple[Verdict, ...] = ("supported", "not supported", "undecided")
    counts: dict[str, int] = {
        status: sum(verdict.status == status for verdict in verdicts) for status in statuses
    }
    counts["otherwise by set"] = sum(judged.other is not None for judged in audit.judged)
    return audit.source, counts


def _pair_groups(report: ReportData) -> dict[str, list[PairView]]:
    """Return the pairs by title: those with a model that was measured first, by experiment."""
    groups: dict[str, list[PairView]] = {}
    for measured in (True, False):
        for experiment, name in _EXPERIMENTS.items():
            title = f"Measured here: {name[:1].lower()}{name[1:]}" if measured else name
            views = [
                view
                for view in report.pairs.values()
                if view.pair.experiment == experiment and measured == _is_measured(view)
            ]
            if views:
                groups[title] = views
    return groups


def _is_measured(view: PairView) -> bool:
    return bool(view.base.scores or view.variant.scores)


def _compared_with(comparisons: Sequence[RunComparison]) -> str:
    """Return the name of the run that the others are compared with, if it is the same for all."""
    titles = {comparison.base.title for comparison in comparisons}
    return titles.pop() if len(titles) == 1 else "the first run on the same states"


def _comparison_rows(comparison: RunComparison, p: AdjustedPValues) -> Iterator[ComparisonRow]:
    base, variant = comparison.base.summary, comparison.variant.summary
    tests = comparison.tests[MAIN]
    for n, test in tests.by_numops.items():
        estimates = base.by_numops[n], variant.by_numops[n]
        yield ComparisonRow(str(n), *estimates, test, p.by_numops[n])
    yield ComparisonRow(
        "\N{GREATER-THAN OR EQUAL TO} 1",
        base.nontrivial,
        variant.nontrivial,
        tests.nontrivial,
        p.nontrivial,
    )
    yield ComparisonRow("all", base.overall, variant.overall, tests.overall, p.overall)
