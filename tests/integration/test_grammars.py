"""Real grammar backends along the same answers: ``nox -s families``."""

import os
from collections.abc import Callable

import pytest

from benchmark.decoding.grammar_backends import BACKENDS
from benchmark.fingerprints.grammars import family_grammars
from benchmark.models.tokenizer import TransformersTokenizer


@pytest.mark.skipif(
    not os.environ.get("TEST_FAMILIES"),
    reason="needs xgrammar and llguidance; set TEST_FAMILIES=1, as nox -s families does",
)
@pytest.mark.parametrize("name", ["starcoder2", "phi-3", "falcon", "mistral", "llama"])
def test_backends_differ_in_forced_text_only(
    real_tokenizer: Callable[[str], TransformersTokenizer], name: str
) -> None:
    """Llguidance allows the usual token alone where the text is forced; nothing else differs."""
    traced = family_grammars(name, tuple(BACKENDS), real_tokenizer(name))
    kinds = {(one.backend, one.kind, one.more) for one in traced.differences()}
    assert kinds == {("llguidance", "forced", False)}
