"""The pooled effects of the pairs that a session judged, for its summary.

The test of a pair keeps the results of both models. They reach the process that prints the summary
as an attribute of the test's report, also from workers of xdist; JUnit files do not have them.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmark.models.registry_types import Pair, Registry

_ATTRIBUTE = "results_of_pair"


class PairDocuments(NamedTuple):
    """The records of both models of a pair (``RunResult.document_of_record``), as JSON values."""

    pair: str
    base: dict[str, object]
    variant: dict[str, object]


_DOCUMENTS = pytest.StashKey[PairDocuments]()


def keep_results(
    item: pytest.Item, pair: Pair, base: Mapping[str, object], variant: Mapping[str, object]
) -> None:
    """Keep the records of a pair's models, so that the summary pools the pairs of an experiment."""
    item.stash[_DOCUMENTS] = PairDocuments(pair.id, dict(base), dict(variant))


def attach(item: pytest.Item, report: pytest.TestReport) -> None:
    """Attach what the test kept to the report of its call."""
    if report.when == "call" and (documents := item.stash.get(_DOCUMENTS, None)):
        setattr(report, _ATTRIBUTE, [*documents])


def pooled_effects(reports: Iterable[object], registry: Registry) -> Iterator[str]:
    """Yield the lines of the pooled effects; none unless enough of the paper's pairs were judged.

    Only results on the paper's task count, as for the claims.
    """
    kept = [PairDocuments(*getattr(report, _ATTRIBUTE)) for report in reports if _has(report)]
    if not kept:
        return
    from benchmark.hypotheses.pooled import pooled_experiments
    from benchmark.hypotheses.results import Results
    from benchmark.hypotheses.table import pooled_lines
    from benchmark.runs.store.stored_result import read_result
    from benchmark.tasks import DEFAULT, task_of

    pairs = [registry.pair(documents.pair) for documents in kept]
    documents = {
        key: document
        for pair, of_pair in zip(pairs, kept, strict=True)
        for key, document in ((pair.base, of_pair.base), (pair.variant, of_pair.variant))
        if task_of(document, key).name == DEFAULT
    }
    entries = (read_result(key, document, Path(key)) for key, document in documents.items())
    yield from pooled_lines(pooled_experiments(Results((*entries,), registry), pairs))


def _has(report: object) -> bool:
    return hasattr(report, _ATTRIBUTE)
