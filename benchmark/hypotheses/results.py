"""Results as claims take them: counts by numops, and outcomes where they were measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from benchmark.models.published import PublishedModel, quoted_overall, random_row
from benchmark.models.registry import registry
from benchmark.models.registry_types import Registry
from benchmark.records import Outcome, Tally

Decoding = Literal["constrained", "unconstrained"]
PromptFormat = Literal["completion", "chat"]

Score = Literal["set", "exact", "format"]
"""What counts as right: a box's objects, its words as they are, or an answer's format."""

Queries = range
"""Which queries a figure is over: those whose numops is in the range."""

_MOST = 36
"""Above any numops that a result can hold (a digit to the base 36)."""

ALL = Queries(_MOST)


def above(numops: int) -> Queries:
    """Queries of more than so many operations; ``above(0)`` is the paper's main measure."""
    return Queries(numops + 1, _MOST)


def exactly(numops: int) -> Queries:
    """Queries of so many operations."""
    return Queries(numops, numops + 1)


NONTRIVIAL = above(0)


class EvaluationSetting(NamedTuple):
    """How a model was asked: with or without the constraint, and in which prompt format."""

    decoding: Decoding
    prompt_format: PromptFormat


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One model in one setting on one data set.

    ``chance`` is the random baseline's accuracy by numops in 0..1, on the same data.
    ``outcomes`` is None where only counts are known, and ``quoted`` an overall tally where not
    even counts by numops are. ``data`` tells data sets apart, ``source`` says where it is from.
    ``alternative`` is the repository that was measured, where it is not the model's default one.
    All this is by one ``score``; ``others`` has the same answers by others. ``note`` says what
    could not be known of them.
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
    score: Score = "set"
    others: Mapping[Score, "Result"] = field(default_factory=dict)
    note: str = ""

    def by(self, score: Score) -> "Result | None":
        """Return the same answers by another score; None if that is not known.

        The result by another score knows this one and its other siblings.
        """
        found = self if score == self.score else self.others.get(score)
        if found is None or found is self:
            return found
        siblings = {name: each for name, each in self.others.items() if name != score}
        siblings[self.score] = replace(self, others={})
        return replace(found, others=siblings, alternative=self.alternative, note=self.note)

    def tally(self, queries: Queries) -> Tally:
        """Correct and total of the queries; 0 of 0 where there is none, or it is not known."""
        if self.quoted is not None:
            return self.quoted if queries == ALL else Tally(0, 0)
        some = [tally for numops, tally in self.by_numops.items() if numops in queries]
        return Tally(sum(t.correct for t in some), sum(t.total for t in some))

    def chance_on(self, queries: Queries) -> float | None:
        """The random baseline's accuracy on the queries; None where it is not known."""
        totals = {n: t.total for n, t in self.by_numops.items() if n in queries and t.total}
        if not totals or not totals.keys() <= self.chance.keys():
            return None
        return sum(self.chance[n] * total for n, total in totals.items()) / sum(totals.values())


@dataclass(frozen=True, slots=True)
class Results:
    """A set of results, by model, setting and data set; and what of it is of no known model."""

    entries: tuple[Result, ...]
    known: Registry = field(default_factory=registry)
    ignored: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What to know of single results: what was measured, and what could not be known."""
        names = [f"{each.model}: measured as {each.alternative}" for each in self.alternatives]
        unknown = [entry.note for entry in self.entries if entry.note]
        return [*dict.fromkeys(names), *unknown]

    @property
    def alternatives(self) -> list[Result]:
        """The results that were measured from another repository than the default one."""
        return [entry for entry in self.entries if entry.alternative]

    def by(self, score: Score) -> "Results":
        """Return every result by that score; as it is, if that is not known."""
        return replace(self, entries=tuple(each.by(score) or each for each in self.entries))

    def prompt_format(self, model: str) -> PromptFormat:
        """The format that the registry, or else the paper, prompts the model with."""
        models = self.known.models if model in self.known.models else registry().models
        return models[model].format

    def of(self, model: str, setting: EvaluationSetting | None = None) -> Result | None:
        """The model's result in that setting, by default constrained and as registered.

        Where it was measured on several data sets: on the one that most of the paper's models
        were measured on.
        """
        wanted = setting or EvaluationSetting("constrained", self.prompt_format(model))
        return next(iter(self._found(model, wanted)), None)

    def both_formats(self, model: str) -> tuple[Result, Result] | None:
        """The model's constrained results in completion and chat format, on the same data.

        Where there are several such data sets, on the one that fewest models were measured on:
        the paper chose the format on held-out data.
        """
        completion = self._found(model, EvaluationSetting("constrained", "completion"))
        chat = {r.data: r for r in self._found(model, EvaluationSetting("constrained", "chat"))}
        pairs = [(result, chat[result.data]) for result in completion if result.data in chat]
        return pairs[-1] if pairs else None

    def data_sets(self) -> list[str]:
        """The data sets, the one of most of the paper's models first."""
        papers = registry().models
        counts = {entry.data: 0 for entry in self.entries}
        for entry in self.entries:
            if entry.model in papers and papers[entry.model].paper:
                counts[entry.data] += 1
        return sorted(counts, key=lambda data: (-counts[data], data))

    def _found(self, model: str, setting: EvaluationSetting) -> list[Result]:
        order = self.data_sets()
        found = (e for e in self.entries if (e.model, e.setting) == (model, setting))
        return sorted(found, key=lambda entry: order.index(entry.data))


def published_results(models: Iterable[PublishedModel]) -> Results:
    """The paper's own results: Table 6 as counts, its random row, what its text quotes.

    Their score is ``exact``, which Table 6 most likely used.
    """
    known = registry()
    chance = {numops: percent / 100 for numops, percent in random_row().items()}
    entries = []
    for published in models:
        model = known.model(published.key)
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
        setting = EvaluationSetting(quote.decoding, known.model(quote.model).format)
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
    return Results(tuple(entries), known)
