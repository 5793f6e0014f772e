"""Outcomes in documents: round trip and errors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import DataError
from benchmark.records import Outcome
from benchmark.scoring.outcomes import outcomes_as_json, read_outcomes

OUTCOMES = st.lists(
    st.lists(st.tuples(st.integers(0, 35), st.booleans()), min_size=7, max_size=7).flatmap(
        lambda queries: st.builds(
            Outcome,
            st.integers(0, 10**6),
            st.just(tuple(n for n, _ in queries)),
            st.just(tuple(right for _, right in queries)),
        )
    )
)


@given(outcomes=OUTCOMES)
def test_outcomes_survive_the_way_through_a_document(outcomes: list[Outcome]) -> None:
    """Written outcomes are read back, for any numops up to 35."""
    assert read_outcomes(outcomes_as_json(outcomes)) == outcomes


@pytest.mark.parametrize(
    "change",
    [
        {"sequences": None},
        {"sequences": [1, 2]},
        {"numops": ["01"]},
        {"numops": ["0-1"]},
        {"outcomes": ["012"]},
        {"outcomes": [[True]]},
        {"sequences": ["a"]},
    ],
)
def test_a_damaged_document_is_named(change: dict[str, Any]) -> None:
    """Missing fields, different lengths and invalid characters are an error."""
    document = {"sequences": [1], "numops": ["012"], "outcomes": ["010"], **change}
    with pytest.raises(DataError, match=r"^here: sequences, numops and outcomes"):
        read_outcomes(document, "here")
