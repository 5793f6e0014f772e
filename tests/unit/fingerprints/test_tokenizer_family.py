"""What the sentinel says of a family that moved."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.fingerprints import tokenizers
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.tokenizer_family import Family, family_from_json, moved, shift_lines
from benchmark.fingerprints.tokenizers import tokenizers_fingerprint, watch
from benchmark.models.tokenizer import TransformersTokenizer

OLD = Family(
    "mistral",
    {"transformers": "4.57.6", "tokenizers": "0.22.2"},
    {"bos": "1", "prompt": "1 12628 272 5436"},
    {"set 0": "6 47047 6f4c", "along the answer": "0 1 2"},
)

VALUES = st.dictionaries(st.text(min_size=1), st.text())


def test_the_family_the_stage_and_the_versions_are_named() -> None:
    """With where the ids part on."""
    new = replace(
        OLD,
        versions={"transformers": "5.0.0", "tokenizers": "0.22.2"},
        tokenizer={"bos": "1", "prompt": "1 12628 9 5436"},
    )
    assert list(shift_lines(OLD, new)) == [
        "mistral: it began at tokenizer",
        "  tokenizer, prompt: after 2 the same, 272 5436 -> 9 5436",
        "  libraries: transformers 4.57.6 -> 5.0.0",
    ]


def test_a_constraint_alone() -> None:
    """Where the ids stayed the constraint is where it began, whatever the libraries say."""
    new = replace(OLD, constraint={"failed": "ModelError: no transitions"})
    lines = list(shift_lines(OLD, new))
    assert lines[0] == "mistral: it began at constraint"
    assert "  constraint, failed: - -> ModelError: no transitions" in lines
    assert lines[-1].endswith("the recorded ones are the same")


def test_versions_alone_are_no_shift() -> None:
    """Upgrades that move nothing say nothing."""
    new = replace(OLD, versions={"transformers": "6"})
    assert moved(OLD, new) == ()
    assert list(shift_lines(OLD, new)) == []


@given(VALUES, VALUES, VALUES)
def test_a_family_comes_back_from_json(
    versions: dict[str, str], tokenizer: dict[str, str], constraint: dict[str, str]
) -> None:
    """As it was written."""
    family = Family("any", versions, tokenizer, constraint)
    assert family_from_json(family.as_json()) == family


def test_one_token_that_is_spelled_otherwise_is_seen(
    tiny_tokenizer: Callable[..., TransformersTokenizer],
) -> None:
    """Of one family the vocabulary and the constraint differ, and not the ids."""
    old, tokenizer = watch("tiny", tiny_tokenizer()), tiny_tokenizer()
    token_bytes = dict(tokenizer.token_bytes)
    allowed = next(token for token, spelling in token_bytes.items() if spelling == b" ")
    token_bytes[allowed] = b"  "
    tokenizer.__dict__["token_bytes"] = token_bytes
    new = watch("tiny", tokenizer)
    assert old.tokenizer["prompt"] == new.tokenizer["prompt"]
    assert moved(old, new) == ("tokenizer", "constraint")
    assert any("tokenizer, vocabulary" in line for line in shift_lines(old, new))


def test_a_tokenizer_that_breaks_is_a_finding(
    tiny_tokenizer: Callable[..., TransformersTokenizer],
) -> None:
    """Its error is recorded in the place of its ids."""
    tokenizer = tiny_tokenizer()
    tokenizer.__dict__["token_bytes"] = {0: b"x"}
    seen = watch("tiny", tokenizer)
    assert "failed" in seen.constraint
    assert "dead" in seen.constraint["failed"] or "expression" in seen.constraint["failed"]


def test_a_chat_template_that_breaks_is_that_text_alone(
    tiny_tokenizer: Callable[..., TransformersTokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other texts keep their ids; the record fails at the tokens, with the library's words."""
    tokenizer = tiny_tokenizer()
    before = watch("tiny", tokenizer)

    def broken(*_: object, **__: object) -> None:
        raise ImportError("apply_chat_template requires jinja2>=3.1.6")

    monkeypatch.setattr(type(tokenizer.raw), "apply_chat_template", broken)
    seen = watch("tiny", tokenizer)
    assert seen.tokenizer["prompt"] == before.tokenizer["prompt"]
    assert "requires jinja2>=3.1.6" in seen.tokenizer["chat"]
    assert seen.constraint == before.constraint
    families = iter((before, seen))
    monkeypatch.setattr(tokenizers, "watch", lambda _: next(families))
    old, new = (tokenizers_fingerprint(["tiny"]) for _ in range(2))
    found = compare(old, new)
    assert (found.severity, found.stage) == ("regression", "prompt_ids")
    assert found.failed["prompt_ids"].startswith(
        "tiny: ModelError: tiny: chat template: ImportError("
    )
    assert [each.stage for each in found.stage_diffs] == ["prompt_ids"]
