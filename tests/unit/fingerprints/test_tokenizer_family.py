"""The readable record of a tokenizer, and its differences."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.fingerprints import tokenizers
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.tokenizer_family import (
    TokenizerRecord,
    changed_stages,
    difference_lines,
    record_from_json,
)
from benchmark.fingerprints.tokenizers import tokenizer_record, tokenizers_fingerprint
from fakes.tiny_tokenizer import tiny_tokenizer

OLD = TokenizerRecord(
    "mistral",
    {"transformers": "4.57.6", "tokenizers": "0.22.2"},
    {"bos": "1", "prompt": "1 12628 272 5436"},
    {"set 0": "6 47047 6f4c", "along the answer": "0 1 2"},
)

VALUES = st.dictionaries(st.text(min_size=1), st.text())


def test_lines_name_family_stage_and_versions() -> None:
    """The ids are shown from the first difference on."""
    new = replace(
        OLD,
        versions={"transformers": "5.0.0", "tokenizers": "0.22.2"},
        tokenizer={"bos": "1", "prompt": "1 12628 9 5436"},
    )
    assert list(difference_lines(OLD, new)) == [
        "mistral: changed stages: tokenizer",
        "  tokenizer, prompt: after 2 equal ids, 272 5436 -> 9 5436",
        "  libraries: transformers 4.57.6 -> 5.0.0",
    ]


def test_only_the_constraint_changed() -> None:
    """If the ids are equal, only the constraint is named."""
    new = replace(OLD, constraint={"failed": "ModelError: no transitions"})
    lines = list(difference_lines(OLD, new))
    assert lines[0] == "mistral: changed stages: constraint"
    assert "  constraint, failed: - -> ModelError: no transitions" in lines
    assert lines[-1].endswith("no recorded version differs")


def test_versions_alone_are_no_change() -> None:
    """Upgrades that change no id have no lines."""
    new = replace(OLD, versions={"transformers": "6"})
    assert changed_stages(OLD, new) == ()
    assert list(difference_lines(OLD, new)) == []


@given(VALUES, VALUES, VALUES)
def test_round_trip(
    versions: dict[str, str], tokenizer: dict[str, str], constraint: dict[str, str]
) -> None:
    """A record equals the one read from its JSON."""
    record = TokenizerRecord("any", versions, tokenizer, constraint)
    assert record_from_json(asdict(record)) == record


def test_changed_token_bytes_are_found() -> None:
    """Vocabulary and constraint differ, the ids do not."""
    old, tokenizer = tokenizer_record("tiny", tiny_tokenizer()), tiny_tokenizer()
    token_bytes = dict(tokenizer.token_bytes)
    allowed = next(token for token, spelling in token_bytes.items() if spelling == b" ")
    token_bytes[allowed] = b"  "
    tokenizer.__dict__["token_bytes"] = token_bytes
    new = tokenizer_record("tiny", tokenizer)
    assert old.tokenizer["prompt"] == new.tokenizer["prompt"]
    assert changed_stages(old, new) == ("tokenizer", "constraint")
    assert any("tokenizer, vocabulary" in line for line in difference_lines(old, new))


def test_error_of_the_constraint_is_recorded() -> None:
    """A stage that fails has its error instead of the values."""
    tokenizer = tiny_tokenizer()
    tokenizer.__dict__["token_bytes"] = {0: b"x"}
    seen = tokenizer_record("tiny", tokenizer)
    assert "failed" in seen.constraint
    assert "dead" in seen.constraint["failed"] or "expression" in seen.constraint["failed"]


def test_error_of_the_chat_template_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other texts keep their ids; the stage fails with the library's error."""
    tokenizer = tiny_tokenizer()
    before = tokenizer_record("tiny", tokenizer)

    def broken(*_: object, **__: object) -> None:
        raise ImportError("apply_chat_template requires jinja2>=3.1.6")

    monkeypatch.setattr(type(tokenizer.raw), "apply_chat_template", broken)
    seen = tokenizer_record("tiny", tiny_tokenizer())
    assert seen.tokenizer["prompt"] == before.tokenizer["prompt"]
    assert "requires jinja2>=3.1.6" in seen.tokenizer["chat"]
    assert seen.constraint == before.constraint
    families = iter((before, seen))
    monkeypatch.setattr(tokenizers, "tokenizer_record", lambda _: next(families))
    old, new = (tokenizers_fingerprint(["tiny"]) for _ in range(2))
    comparison = compare(old, new)
    assert (comparison.severity, comparison.stage) == ("regression", "prompt_ids")
    assert comparison.failed["prompt_ids"].startswith(
        "tiny: ChatTemplateError: tiny: chat template: ImportError("
    )
    assert [diff.stage for diff in comparison.stage_diffs] == ["prompt_ids"]
