"""Results as input of the claims: counts by numops, and outcomes if they were measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from benchmark.models.published import PublishedModel, quoted_overall, random_row
from benchmark.models.registry import registry
from benchmark.models.registry_types import Registry
from benchmark.records import Outcome, Tally

Decoding = Literal["constrained", "unconstrained"]
UNCONSTRAINED: Decoding = "unconstrained"
PromptFormat = Literal["completion", "chat"]

ScoreName = Literal["set", "exact", "format"]
"""What counts as correct: the objects of a box, its exact words, or the format of the answer."""

Queries = range
"""The queries that a figure covers: those whose numops is in the range."""

_NUMOPS_END = 36
"""Above every numops that a result can hold (a base-36 digit)."""

ALL = Queries(_NUMOPS_END)


def numops_above(numops: int) -> Queries:
    """Return the queries with more operations; ``numops_above(0)`` is the main measure."""
    return Queries(numops + 1, _NUMOPS_END)


def numops_equal(numops: int) -> Queries:
    """Return the queries with that number of operations."""
    return Queries(numops, numops + 1)


NONTRIVIAL = numops_above(0)


class EvaluationSetting(NamedTuple):
    """How a model was prompted: with or without the constraint, and in which format."""

    decoding: Decoding
    prompt_format: PromptFormat


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One model in one setting on one data set, by one score.

    Attributes:
        model: key in the registry.
        setting: decoding and prompt format.
        by_numops: counts by numops.
        chance: accuracy of the random baseline (0..1) by numops, on the same data.
        data: identifies the data set.
        source: where the result is from.
        outcomes: one per state; None if only counts are known.
        quoted: an overall tally, if counts by numops are not known.
        alternative: the repository that was measured, if it is not the model's default one.
        others: results of the same answers by other scores.
        note: what is not known about the answers.
    """

    model: str
    setting: EvaluationSetting
    by_numops: Mapping[int, Tally]
    chance: Mapping[int, float]
    data: str
    source: str
    outcomes: tuple[Outcome, ...] | None = None
    quoted: Tally | None = None
    alternative: str | None = None
    score: ScoreName = "set"
    others: Mapping[ScoreName, "Result"] = field(default_factory=dict)
    note: str = ""

    def by(self, score: ScoreName) -> "Result | None":
        """Return the result of the same answers by another score; None if not known.

        The returned result has this one among its ``others``.
        """
        result = self if score == self.score else self.others.get(score)
        if result is None or result is self:
            return result
        others = {by: other for by, other in self.others.items() if by != score}
        others[self.score] = replace(self, others={})
        return replace(result, others=others, alternative=self.alternative, note=self.note)

    def tally(self, queries: Queries) -> Tally:
        """Return the counts of the queries; 0 of 0 if there are none or they are not known."""
        if self.quoted is not None:
            return self.quoted if queries == ALL else Tally(0, 0)
        tallies = [tally for numops, tally in self.by_numops.items() if numops in queries]
        return Tally(sum(t.correct for t in tallies), sum(t.total for t in tallies))

    def chance_on(self, queries: Queries) -> float | None:
        """Return the accuracy of the random baseline on the queries; None if not known."""
        totals = {n: t.total for n, t in self.by_numops.items() if n in queries and t.total}
        if not totals or not totals.keys() <= self.chance.keys():
            return None
        return sum(self.chance[n] * total for n, total in totals.items()) / sum(totals.values())


@dataclass(frozen=True, slots=True)
class Results:
    """A set of results by model, setting and data set; ``ignored`` lists unregistered ones."""

    entries: tuple[Result, ...]
    registry: Registry = field(default_factory=registry)
    ignored: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """Return notes on single results: alternative repositories, unknown outcomes."""
        names = [f"{r.model}: measured as {r.alternative}" for r in self.alternatives]
        return [*dict.fromkeys(names), *(entry.note for entry in self.entries if entry.note)]

    @property
    def alternatives(self) -> list[Result]:
        """Return the results measured from a repository other than the default one."""
        return [entry for entry in self.entries if entry.alternative]

    def by(self, score: ScoreName) -> "Results":
        """Return every result by that score, unchanged if that is not known."""
        return replace(self, entries=tuple(entry.by(score) or entry for entry in self.entries))

    def prompt_format(self, model: str) -> PromptFormat:
        """Return the prompt format of the model in the registry, or else in the paper."""
        own = self.registry.models
        models = own if model in own else registry().models
        return models[model].format

    def of(self, model: str, setting: EvaluationSetting | None = None) -> Result | None:
        """Return the model's result in a setting, by default constrained and as registered.

        Of several data sets, the one with most of the paper's models counts.
        """
        setting = setting or EvaluationSetting("constrained", self.prompt_format(model))
        return next(iter(self._by_data_set(model, setting)), None)

    def both_formats(self, model: str) -> tuple[Result, Result] | None:
        """Return the constrained results in completion and chat format, on the same data.

        Of several data sets, the one with fewest models counts, because the paper chose the
        format on held-out data.
        """
        completion = self._by_data_set(model, EvaluationSetting("constrained", "completion"))
        chat = {
            r.data: r for r in self._by_data_set(model, EvaluationSetting("constrained", "chat"))
        }
        pairs = [(result, chat[result.data]) for result in completion if result.data in chat]
        return pairs[-1] if pairs else None

    def data_sets(self) -> list[str]:
        """Return the data sets, the one with most of the paper's models first."""
        papers = registry().models
        counts = {entry.data: 0 for entry in self.entries}
        for entry in self.entries:
            if entry.model in papers and papers[entry.model].paper:
                counts[entry.data] += 1
        return sorted(counts, key=lambda data: (-counts[data], data))

    def _by_data_set(self, model: str, setting: EvaluationSetting) -> list[Result]:
        order = self.data_sets()
        matching = (e for e in self.entries if (e.model, e.setting) == (model, setting))
        return sorted(matching, key=lambda entry: order.index(entry.data))


def published_results(models: Iterable[PublishedModel]) -> Results:
    """Return the paper's own results: Table 6 as counts, its random row, quoted figures.

    Their score is ``exact``, most likely the score of Table 6.
    """
    own = registry()
    chance = {numops: percent / 100 for numops, percent in random_row().items()}
    entries = []
    for published in models:
        model = own.model(published.key)
        setting = EvaluationSetting("constrained", model.format)
        entries.append(
            Result(
                model.key,
                setting,
                published.by_numops,
                chance,
                "Table 6",
                "Table 6",
                score="exact",
            )
        )
    for quote in quoted_overall():
        setting = EvaluationSetting(quote.decoding, own.model(quote.model).format)
        entries.append(
            Result(
                quote.model,
                setting,
                {},
                {},
                "Table 6",
                quote.place,
                quoted=quote.tally,
                score="exact",
            )
        )
    return Results(tuple(entries), own)
