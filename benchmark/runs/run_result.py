"""The result of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.boxes.baseline import Percentages
from benchmark.records import Outcome
from benchmark.stats.summary import Scored, Summary

_NOT_RECORDED = ("notices", "errors")


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    ``texts`` has one answer per state, ``scores`` the outcomes by every score, ``baselines`` the
    accuracy of random answers by every reading. ``document`` is what ``result.json`` says of them,
    and ``identity`` everything that they depend on.
    """

    texts: tuple[str, ...]
    scores: Mapping[str, Scored]
    baselines: Mapping[str, Percentages]
    document: dict[str, object]
    identity: dict[str, object]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes by the main score, ``set``."""
        return self.scores["set"].outcomes

    @property
    def summary(self) -> Summary:
        """The summary by the main score, ``set``."""
        return self.scores["set"].summary

    @property
    def baseline(self) -> Percentages:
        """The random baseline of the main score, ``set``."""
        return self.baselines["set"]

    def document_of_record(self) -> dict[str, object]:
        """Return result and identity as a snapshot keeps them.

        The path of the model and the notices, whose words change by release, are left out, and so
        is the analysis of errors, which follows from the texts.
        """
        document = {n: value for n, value in self.document.items() if n not in _NOT_RECORDED}
        model = self.identity.get("model")
        fingerprint = model.get("fingerprint") if isinstance(model, dict) else None
        return {**document, **self.identity, "model": {"fingerprint": fingerprint}}
