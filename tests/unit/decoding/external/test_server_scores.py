"""Rows of log-probabilities that are none are faulty replies, which are asked for again."""

from typing import Any

import pytest

from benchmark.decoding.external.completions import FaultyReplyError
from benchmark.decoding.external.server_kinds import CompletionRequest, Document, Sglang
from benchmark.decoding.external.server_scores import SglangScores, VllmScores
from benchmark.decoding.log_probs import ForcedSequence

ROW = ForcedSequence((1, 2), (3, 4))
FAULTY: list[Any] = [None, [], [-0.5], {}, "x", ["x", 4, None], [[], 4, None], [10**400, 4, None]]


@pytest.mark.parametrize("faulty", FAULTY)
@pytest.mark.parametrize("place", [0, 1])
def test_rows_of_sglang(faulty: Any, place: int) -> None:  # noqa: ANN401  # any JSON
    """A row that is null, too short, or no number, among those of the input."""
    rows: list[Any] = [[-0.5, 3, None], [-0.25, 4, None]]
    whole: Document = {
        "meta_info": {"input_token_logprobs": rows, "input_top_logprobs": [None, None]}
    }
    assert SglangScores().read(whole, ROW, 0).values[:, 0].tolist() == [-0.5, -0.25]
    # The id of a row is compared before its number is read.
    has_id = isinstance(faulty, list) and len(faulty) > 1
    rows[place] = [faulty[0], 3 + place, None] if has_id else faulty
    with pytest.raises(FaultyReplyError):
        SglangScores().read(whole, ROW, 0)


@pytest.mark.parametrize("faulty", [None, [], [-0.5], {}, "x"])
def test_ids_next_to_log_probabilities(faulty: object) -> None:
    """SGLang's completion without ids of its own is read from its rows."""
    about: Document = {
        "finish_reason": {"type": "length"},
        "output_token_logprobs": [[-0.5, 3], faulty],
    }
    with pytest.raises(FaultyReplyError, match="without token ids"):
        Sglang().read({"meta_info": about}, CompletionRequest((1, 2), 2, None))


@pytest.mark.parametrize("faulty", [{"4": None}, {"4": {}}, {"x": {"logprob": 1}}, [], None])
def test_places_of_vllm(faulty: object) -> None:
    """A place that is no table of numbers by id."""
    places: list[object] = [None, {"2": {"logprob": -1}}, {"3": {"logprob": -1}}, faulty]
    with pytest.raises(FaultyReplyError):
        VllmScores().read({"choices": [{"prompt_logprobs": places}]}, ROW, 0)


def test_a_number_without_bounds() -> None:
    """JSON has integers that no float holds."""
    document: Document = {"choices": [{"logprobs": {"token_logprobs": [10**400]}}]}
    with pytest.raises(FaultyReplyError, match="no numbers"):
        VllmScores().values(document)
