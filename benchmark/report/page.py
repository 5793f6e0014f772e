"""The page: one file that opens from disk, with everything in it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmark import __version__
from benchmark.hypotheses.claims import Claim, JudgedClaim
from benchmark.hypotheses.findings import Status, figures
from benchmark.report.accuracy_tables import table_3, table_6
from benchmark.report.charts import PanelChart, forest, panel
from benchmark.report.data import Audit, Compared, PairView, ReportData, RunView
from benchmark.report.explorer import explorer
from benchmark.report.model_tables import table_1, table_4
from benchmark.report.table_model import TableModel
from benchmark.report.templates import digest, environment, script_json, source
from benchmark.runs.paired_table import decided_otherwise
from benchmark.scoring.outcomes import MAIN, SCORES
from benchmark.stats.paired import FEWEST

_EXPERIMENTS = {
    "code": "Experiment 1: additional code training",
    "math": "Experiment 2: additional math training",
    "alignment": "Experiment 3: alignment tuning",
    "control": "Control pairs: they calibrate the instrument, and are no evidence about code",
}


class Judgement(NamedTuple):
    """A claim as decided on one set of results, with the figures of its verdicts.

    ``others`` are the figures of the verdict by ``set``, where that is another.
    """

    source: str
    judged: JudgedClaim
    figures: list[str]
    others: list[str]


class ClaimView(NamedTuple):
    """A claim with its verdict on each set of results."""

    claim: Claim
    judgements: tuple[Judgement, ...]

    @property
    def status(self) -> Status:
        """Of the last set, the most particular one."""
        return self.judgements[-1].judged.verdict.status


class PairCard(NamedTuple):
    """A pair with its drawing."""

    view: PairView
    panel: PanelChart


class SettingRow(NamedTuple):
    """One thing that a run's result depends on."""

    name: str
    value: str


def tables(material: ReportData) -> tuple[TableModel, ...]:
    """Tables 1, 3, 4 and 6."""
    return table_1(), table_3(material), table_4(), table_6(material)


def page(material: ReportData, grids: Sequence[TableModel]) -> str:
    """The whole page. Nothing in it is fetched, and only its own script may run."""
    style, script = source("style.css"), source("page.js")
    by_experiment = _by_experiment(material)
    return environment().get_template("page.html.jinja").render(
        version=__version__,
        material=material,
        style=style,
        style_digest=digest(style),
        script=script,
        script_digest=digest(script),
        data=script_json(explorer(material.runs, material.states)),
        claims=list(_claims(material.audits)),
        tallies=[_tally(audit) for audit in material.audits],
        forest=forest(by_experiment),
        experiments=[
            (_EXPERIMENTS[name], [PairCard(view, panel(view, material.chance)) for view in views])
            for name, views in by_experiment.items()
        ],
        settings=[dict(settings(view)) for view in material.runs],
        differing=_differing(material.runs),
        comparisons=[
            (compared, list(_groups(compared)), decided_otherwise(compared.tests))
            for compared in material.compared
        ],
        scores=SCORES,
        main_score=MAIN,
        fewest_clusters=FEWEST,
        tables=grids,
    )  # fmt: skip


def settings(view: RunView) -> Iterator[SettingRow]:
    """Everything that the run's result depends on, one name a value."""
    for name in ("model", "data", "prompts", "constraint", "protocol", "environment"):
        yield from _flat(name, view.run.document.get(name))


def _flat(name: str, value: object) -> Iterator[SettingRow]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(f"{name}.{key}", part)
    else:
        words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield SettingRow(name, words)


def _differing(runs: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """The settings in which the runs differ, with each run's value."""
    each = [dict(settings(view)) for view in runs]
    names = dict.fromkeys(name for found in each for name in found)
    values = {name: [found.get(name, "-") for found in each] for name in names}
    return [(name, row) for name, row in values.items() if len(set(row)) > 1]


def _claims(audits: Sequence[Audit]) -> Iterator[ClaimView]:
    for several in zip(*(audit.judged for audit in audits), strict=True):
        judgements = (
            Judgement(audit.source, judged, figures(judged.verdict), _others(judged))
            for audit, judged in zip(audits, several, strict=True)
        )
        yield ClaimView(several[0].claim, tuple(judgements))


def _others(judged: JudgedClaim) -> list[str]:
    return figures(judged.other) if judged.other else []


def _tally(audit: Audit) -> tuple[str, dict[str, int]]:
    verdicts = [judged.verdict for judged in audit.judged]
    names: tuple[Status, ...] = ("supported", "not supported", "not decidable")
    counts: dict[str, int] = {name: sum(v.status == name for v in verdicts) for name in names}
    counts["within error"] = sum(verdict.within_error for verdict in verdicts)
    counts["otherwise by set"] = sum(judged.other is not None for judged in audit.judged)
    return audit.source, counts


def _by_experiment(material: ReportData) -> dict[str, list[PairView]]:
    views = material.pairs.values()
    found = {name: [v for v in views if v.pair.experiment == name] for name in _EXPERIMENTS}
    return {name: some for name, some in found.items() if some}


def _groups(compared: Compared) -> Iterator[tuple[str, object, object, object]]:
    """Each group of queries: its name, both estimates, and the test."""
    base, variant = compared.base.summary, compared.variant.summary
    tests = compared.tests[MAIN]
    for numops, test in tests.by_numops.items():
        yield str(numops), base.by_numops[numops], variant.by_numops[numops], test
    yield "\N{GREATER-THAN OR EQUAL TO} 1", base.nontrivial, variant.nontrivial, tests.nontrivial
    yield "all", base.overall, variant.overall, tests.overall
