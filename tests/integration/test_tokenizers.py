"""Real tokenizers: the bytes of their tokens, the start of prompts, and the constraint."""

import json
import os
import random
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from outlines.backends.outlines_core import OutlinesCoreBackend
from outlines.models.transformers import TransformerTokenizer
from outlines_core import Index, Vocabulary
from syrupy.assertion import SnapshotAssertion
from transformers import AutoTokenizer

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.generator import initial_world, operations
from benchmark.boxes.language import describe, statement
from benchmark.boxes.portable_random import PortableRandom
from benchmark.boxes.states import replay
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.boxes.world import BOXES
from benchmark.decoding.constraint import Constraint
from benchmark.fingerprints.tokenizers import tokenizer_record
from benchmark.models.downloads import source
from benchmark.models.location import Location
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.prompts.rendering import chat, prompt, prompt_ids
from benchmark.prompts.settings import PromptSettings
from benchmark.pytest_plugin.snapshots.tokenizers import TokenizersExtension
from benchmark.records import TokenIds
from fakes.naive_tekken import naive_tekken

NAMES = ("smollm2", "mistral", "llama", "gemma", "deepseek-llm")
PUT_A_SPACE_BEFORE = ("mistral", "llama", "phi-3")
FALL_BACK_TO_BYTES = ("mistral", "llama", "gemma")
WITH_TEMPLATE = ("smollm2", "gemma")
ADD_NO_BOS = ("smollm2",)
NOT_DECODED = "øöúÿõ÷ûýÀùÁþü"

EXPRESSION = answer_expression(BOXES)
PATTERN = regex.compile(EXPRESSION.encode())
PROMPTS = Path(__file__).parents[2] / "fixtures" / "prompts"
DESCRIPTION = (PROMPTS / "description.txt").read_text(encoding="utf-8").rstrip("\n")
IDS = json.loads((PROMPTS / "ids.json").read_text(encoding="utf-8"))
TEMPLATES = tomllib.loads((PROMPTS / "templates.toml").read_text(encoding="utf-8"))
AS_CHAT = PromptSettings(prompt_format="chat")
STATES = (3, 14)
"""Seeds of the states whose gold statements are walked along."""

Load = Callable[[str], TransformersTokenizer]

WORDS = st.from_regex("[a-zA-Z]{1,12}", fullmatch=True)


def _state(seed: int, vocabulary: tuple[str, ...]) -> tuple[str, str]:
    """Return a description of twelve operations and its gold statement."""
    draws = PortableRandom(np.random.default_rng(seed))
    initial = initial_world(draws, vocabulary)
    done = operations(draws, vocabulary, initial)
    return describe(initial, done), f"Statement: {statement(replay(initial, done)[-1])}"


@pytest.fixture(scope="session")
def constraint(real_tokenizer: Load) -> Callable[[str], Constraint]:
    """The paper's expression, compiled for a real tokenizer."""

    @cache
    def compiled(name: str) -> Constraint:
        tokenizer = real_tokenizer(name)
        return Constraint(EXPRESSION, tokenizer.token_bytes, tokenizer.eos_id)

    return compiled


# Spellings


@pytest.mark.parametrize("name", NAMES)
def test_descriptions_are_spelled_exactly(real_tokenizer: Load, name: str) -> None:
    """The bytes of a description's tokens are its text, after a space if the model adds one."""
    tokenizer = real_tokenizer(name)
    space = b" " if name in PUT_A_SPACE_BEFORE else b""

    @settings(max_examples=10)
    @given(seed=st.integers(0, 10**6), words=st.lists(WORDS, min_size=40, unique=True))
    def check(seed: int, words: list[str]) -> None:
        for text in _state(seed, tuple(words)):
            ids = tokenizer.encode(text)
            assert b"".join(tokenizer.token_bytes[i] for i in ids) == space + text.encode()

    check()


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_spelled_exactly(real_tokenizer: Load, name: str) -> None:
    """The same holds for any text in any script, down to single bytes.

    Left out are bytes for which SmolLM2 has no token, U+2581, which SentencePiece reads as a
    space, and thirteen letters that transformers cannot decode for DeepSeek either.
    """
    tokenizer = real_tokenizer(name)
    single_bytes = b"".join(part for part in tokenizer.token_bytes.values() if len(part) == 1)
    characters = st.characters(codec="utf-8", exclude_characters=f"<\u2581{NOT_DECODED}")

    @given(
        st.text(characters.filter(lambda character: set(character.encode()) <= set(single_bytes)))
    )
    def check(text: str) -> None:
        ids = tokenizer.encode(text)
        spelled = b"".join(tokenizer.token_bytes[i] for i in ids)
        spaces = ("", " ") if name in PUT_A_SPACE_BEFORE else ("",)
        assert spelled in {f"{space}{text}".encode() for space in spaces}

    check()


@pytest.mark.parametrize("name", NAMES)
def test_special_tokens_have_no_bytes(real_tokenizer: Load, name: str) -> None:
    """Special tokens represent no text."""
    tokenizer = real_tokenizer(name)
    special = {i for i, token in tokenizer.raw.added_tokens_decoder.items() if token.special}
    assert {tokenizer.bos_id, tokenizer.eos_id} <= special
    assert special & tokenizer.token_bytes.keys() == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_ascii_character_has_a_token(real_tokenizer: Load, name: str) -> None:
    """So the paper's expression never has a dead end."""
    ascii_bytes = {bytes([byte]) for byte in (*b"\n", *range(0x20, 0x7F))}
    assert ascii_bytes <= set(real_tokenizer(name).token_bytes.values())


@pytest.mark.parametrize("name", ["llama", "deepseek-llm"])
def test_ids_equal_those_of_llama_cpp(real_tokenizer: Load, name: str) -> None:
    """The test texts of llama.cpp have the ids that it expects.

    Left out for Llama are texts that begin with a space: llama.cpp adds a second one, transformers
    does not. Prompts never begin with a space.
    """
    _check_ids_of_llama_cpp(real_tokenizer(name), name)


def _check_ids_of_llama_cpp(tokenizer: TransformersTokenizer, name: str) -> None:
    folder = source(name).folder
    content = (folder / "texts.inp").read_bytes().decode()
    texts = content.split("\n__ggml_vocab_test__\n")
    lines = (folder / "ids.out").read_text(encoding="utf-8").split("\n")
    expected = {
        text: tuple(map(int, line.split())) for text, line in zip(texts, lines, strict=True)
    }
    if name in PUT_A_SPACE_BEFORE:
        expected = {text: ids for text, ids in expected.items() if not text.startswith(" ")}
    assert sum(text.isascii() for text in expected) >= 20
    assert {text: tokenizer.encode(text) for text in expected} == expected


# Prompts


@pytest.mark.parametrize("name", NAMES)
def test_completion_prompt(real_tokenizer: Load, name: str) -> None:
    """It is one BOS, if the tokenizer adds one, and the exact text.

    With SentencePiece a space comes before the text.
    """
    tokenizer = real_tokenizer(name)
    rendered = prompt(tokenizer, DESCRIPTION, PromptSettings())
    assert rendered.token_ids.count(tokenizer.bos_id or -1) == (name not in ADD_NO_BOS)
    assert (rendered.token_ids[0] == tokenizer.bos_id) is (name not in ADD_NO_BOS)
    space = " " if name in PUT_A_SPACE_BEFORE else ""
    golden = (PROMPTS / "completion.txt").read_text(encoding="utf-8")
    assert detokenize(tokenizer.token_bytes, rendered.token_ids) == space + golden


@pytest.mark.parametrize("name", IDS)
def test_golden_ids(real_tokenizer: Load, name: str) -> None:
    """Prompts have the recorded ids, which another program or release made (``by``)."""
    tokenizer = real_tokenizer(name)
    rendered = prompt(tokenizer, DESCRIPTION, PromptSettings())
    assert list(rendered.token_ids) == IDS[name]["completion"]
    if name == "smollm2":
        assert list(prompt(tokenizer, DESCRIPTION, AS_CHAT).token_ids) == IDS[name]["chat"]


@pytest.mark.parametrize("name", ["gemma", "deepseek-llm"])
def test_golden_ids_of_a_chat(real_tokenizer: Load, name: str) -> None:
    """A chat's text in the family's format has the recorded ids."""
    text = (PROMPTS / f"{name.split('-', maxsplit=1)[0]}_chat.txt").read_text(encoding="utf-8")
    assert list(prompt_ids(real_tokenizer(name), text, AS_CHAT)) == IDS[name]["chat"]
    twice = prompt_ids(real_tokenizer(name), text, replace(AS_CHAT, repeated_bos=True))
    assert list(twice) == [real_tokenizer(name).bos_id, *IDS[name]["chat"]]


@pytest.fixture
def llama_folder(real_tokenizer: Load, tmp_path: Path) -> Location:
    """Llama 2's ``tokenizer.json`` as its repository has it, with Prepend and Replace."""
    definition = json.loads(real_tokenizer("llama").raw.backend_tokenizer.to_str())
    prepend = {"type": "Prepend", "prepend": "\u2581"}
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    definition["normalizer"] = {"type": "Sequence", "normalizers": [prepend, spaces]}
    definition["pre_tokenizer"] = None
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "legacy": False,
        "chat_template": TEMPLATES["llama2_chat"]["template"],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return Location("llama", tmp_path, None, "sha256:0")


def test_golden_ids_of_llama_2_chat(llama_folder: Location) -> None:
    """Llama 2's chat prompt equals that of transformers 4.48, which the authors used.

    ``tokenizer.json`` is used unchanged. transformers 5 replaces its normalizer, so that the first
    word after each BOS loses its space; the last line fails once it no longer does.
    """
    tokenizer = load_tokenizer(llama_folder)
    settings = PromptSettings(prompt_format="chat", instruction_role="system")
    rendered = prompt(tokenizer, DESCRIPTION, settings)
    assert rendered.text == (PROMPTS / "llama2_chat.txt").read_text(encoding="utf-8")
    assert list(rendered.token_ids) == IDS["llama"]["chat"]
    twice = prompt(tokenizer, DESCRIPTION, replace(settings, repeated_bos=True))
    assert list(twice.token_ids) == [tokenizer.bos_id, *IDS["llama"]["chat"]]
    plain = AutoTokenizer.from_pretrained(llama_folder.folder)
    assert plain.encode(rendered.text, add_special_tokens=False) != IDS["llama"]["chat"]


@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_chat_prompt(real_tokenizer: Load, name: str) -> None:
    """It begins with one BOS, and has the ids that transformers makes of the messages."""
    tokenizer = real_tokenizer(name)
    rendered = prompt(tokenizer, DESCRIPTION, AS_CHAT)
    first, second, *_ = rendered.token_ids
    assert first == tokenizer.bos_id
    assert second != tokenizer.bos_id
    turns = [{"role": turn.role, "content": turn.content} for turn in chat(DESCRIPTION)]
    own = tokenizer.raw.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert list(rendered.token_ids) == own


def test_chat_prompt_of_gemma(real_tokenizer: Load) -> None:
    """Gemma's own template makes the golden text of its family."""
    golden = (PROMPTS / "gemma_chat.txt").read_text(encoding="utf-8")
    assert prompt(real_tokenizer("gemma"), DESCRIPTION, AS_CHAT).text == golden


def test_chat_prompt_of_smollm2(real_tokenizer: Load) -> None:
    """SmolLM2's own template makes the golden text; its BOS begins every turn.

    Without a system message the template adds its own.
    """
    tokenizer = real_tokenizer("smollm2")
    rendered = prompt(tokenizer, DESCRIPTION, AS_CHAT)
    golden = (PROMPTS / "smollm2_chat.txt").read_text(encoding="utf-8")
    assert rendered.text == golden
    turns = golden.count("<|im_start|>")
    assert turns == len(chat(DESCRIPTION)) + 2
    assert rendered.token_ids.count(tokenizer.bos_id or -1) == turns


# The constraint


def _continuation(tokenizer: TransformersTokenizer, description: str, answer: str) -> TokenIds:
    """Return the ids of an answer after its prompt."""
    before = prompt(tokenizer, description, PromptSettings())
    with_answer = prompt_ids(tokenizer, before.text + answer, PromptSettings())
    assert with_answer[: len(before.token_ids)] == before.token_ids
    return with_answer[len(before.token_ids) :]


@pytest.mark.parametrize("name", NAMES)
def test_gold_statements_are_allowed(
    real_tokenizer: Load, constraint: Callable[[str], Constraint], name: str
) -> None:
    """A correct answer in the tokenizer's own tokens is allowed from start to end."""
    tokenizer = real_tokenizer(name)
    description, answer = _state(STATES[0], default_vocabulary())
    ids = _continuation(tokenizer, description, answer)
    assert detokenize(tokenizer.token_bytes, ids) == answer
    assert constraint(name).allowed(ids) == {tokenizer.eos_id}
    for end in range(len(ids)):
        assert ids[end] in constraint(name).allowed(ids[:end])


def _walk(
    tokenizer: TransformersTokenizer, constraint: Constraint, rng: random.Random
) -> Iterator[tuple[TokenIds, frozenset[int]]]:
    """Yield paths that leave a gold statement at random, with the tokens allowed next."""
    description, answer = _state(rng.choice(STATES), default_vocabulary())
    gold = _continuation(tokenizer, description, answer)
    path = gold[: rng.randrange(len(gold) + 1)]
    for _ in range(8):
        allowed = constraint.allowed(path)
        yield path, allowed
        onward = sorted(allowed - {tokenizer.eos_id})
        if not onward:
            return
        path = (*path, rng.choice(onward))


@pytest.mark.parametrize("name", NAMES)
def test_allowed_tokens_are_those_that_lead_to_a_match(
    real_tokenizer: Load, constraint: Callable[[str], Constraint], name: str
) -> None:
    """They equal those of an independent library along random walks; EOS only at a match.

    Each step looks at up to 200 allowed tokens, as many tokens with the same first bytes, and 200
    of the whole vocabulary.
    """
    tokenizer = real_tokenizer(name)
    token_bytes = tokenizer.token_bytes
    ids = list(token_bytes)
    by_first_byte = defaultdict(list)
    for token_id, spelling in token_bytes.items():
        by_first_byte[spelling[0]].append(token_id)
    rng = random.Random(20240531)  # noqa: S311
    disallowed = 0
    for _ in range(5):
        for path, allowed in _walk(tokenizer, constraint(name), rng):
            text = b"".join(token_bytes[i] for i in path)
            assert (tokenizer.eos_id in allowed) == bool(PATTERN.fullmatch(text))
            onward = sorted(allowed - {tokenizer.eos_id})
            picked = rng.sample(onward, min(200, len(onward)))
            near = [rng.choice(by_first_byte[token_bytes[i][0]]) for i in picked]
            sample = {*picked, *near, *rng.choices(ids, k=200)}
            fitting = {i for i in sample if PATTERN.fullmatch(text + token_bytes[i], partial=True)}
            assert fitting == sample & allowed
            disallowed += len(sample - allowed)
    assert disallowed > 3000


@pytest.mark.parametrize("name", FALL_BACK_TO_BYTES)
def test_all_ids_of_a_letter_are_allowed(
    real_tokenizer: Load, constraint: Callable[[str], Constraint], name: str
) -> None:
    """A letter has its own id and one as a byte: both are allowed, the model chooses."""
    tokenizer = real_tokenizer(name)
    letters = {i for i, spelling in tokenizer.token_bytes.items() if spelling == b"S"}
    assert letters == {tokenizer.raw.get_vocab()[entry] for entry in ("S", "<0x53>")}
    assert letters <= constraint(name).allowed(())
    for letter in letters:
        rest = constraint(name).allowed((letter,))
        assert {tokenizer.token_bytes[i] for i in rest} >= {b"t", b"ta"}


# Snapshots of the tokenizers


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_allowed_tokens_are_the_recorded_ones(
    real_tokenizer: Load, name: str, snapshot: SnapshotAssertion
) -> None:
    """The failure names the family, the stage and the libraries that differ."""
    seen = tokenizer_record(name, real_tokenizer(name))
    assert asdict(seen) == snapshot.use_extension(TokenizersExtension)


# Further families


LARGE = ("gpt-neox", "llama-3", "qwen2", "qwen3", "tekken", "cl100k", "gemma-2")
every_family = pytest.mark.skipif(
    not os.environ.get("TEST_FAMILIES"),
    reason="large tokenizers take a minute; set TEST_FAMILIES=1, as nox -s families does",
)


@pytest.mark.parametrize(
    "name",
    ["phi-3", "starcoder2", "falcon", *(pytest.param(n, marks=every_family) for n in LARGE)],
)
def test_a_further_family_is_the_recorded_one(
    real_tokenizer: Load, name: str, snapshot: SnapshotAssertion
) -> None:
    """Ids are those of llama.cpp, if it has texts for the family; answers are allowed."""
    tokenizer = real_tokenizer(name)
    if (source(name).folder / "texts.inp").is_file():
        _check_ids_of_llama_cpp(tokenizer, name)
    space = b" " if name in PUT_A_SPACE_BEFORE else b""
    ids = tokenizer.encode(DESCRIPTION)
    assert b"".join(tokenizer.token_bytes[i] for i in ids) == space + DESCRIPTION.encode()
    seen = tokenizer_record(name, tokenizer)
    assert "-1" not in seen.constraint["along the answer"].split()
    assert asdict(seen) == snapshot.use_extension(TokenizersExtension)


@every_family
def test_tekken_is_merged_by_rank(real_tokenizer: Load) -> None:
    """Its ids are those of merging the pair of the lowest rank again and again."""
    tokenizer = real_tokenizer("tekken")
    document = json.loads((source("tekken").folder / "tekken.json").read_text(encoding="utf-8"))
    expected = naive_tekken(document, DESCRIPTION)
    assert list(tokenizer.encode(DESCRIPTION)) == expected


# Why the vocabulary is not outlines' own


def _vocabulary_of_outlines(tokenizer: TransformersTokenizer) -> Vocabulary:
    """Return the vocabulary that outlines makes of the tokenizer."""
    wrapped = TransformerTokenizer(tokenizer.raw)
    return OutlinesCoreBackend.create_outlines_core_vocabulary(
        wrapped.get_vocab(),
        wrapped.eos_token_id,
        wrapped.eos_token,
        wrapped.convert_token_to_string,
    )


def test_outlines_own_vocabulary_is_wrong_for_gemma(
    real_tokenizer: Load, constraint: Callable[[str], Constraint]
) -> None:
    """Outlines 1.2.10 and later put a second space before Gemma's words, so that nothing matches.

    If this fails, outlines has fixed it, and the comment about it can be removed.
    """
    tokenizer = real_tokenizer("gemma")
    box = tokenizer.raw.get_vocab()["\u2581Box"]
    wrapped = TransformerTokenizer(tokenizer.raw)
    assert wrapped.convert_token_to_string("\u2581Box") == "  Box"
    assert tokenizer.token_bytes[box] == b" Box"
    vocabulary = _vocabulary_of_outlines(tokenizer)
    with pytest.raises(ValueError, match="vocabulary provided is incompatible"):
        Index(EXPRESSION, vocabulary)
    after = _continuation(tokenizer, DESCRIPTION, "Statement:")
    assert box in constraint("gemma").allowed(after)
