"""The controls' tokenizer keeps stock phrases whole and spells everything exactly."""

from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.prompts.rendering import completion, prompt
from benchmark.prompts.settings import PromptSettings

DESCRIPTION = (
    "Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the hat, "
    "Box 3 contains nothing, Box 4 contains nothing, Box 5 contains nothing, Box 6 contains "
    "nothing. Move the bag and the map from Box 0 to Box 1. Put the cup into Box 5."
)


def test_an_object_with_its_article_is_one_token(tokenizer: TransformersTokenizer) -> None:
    """Each of the 100 nouns, after a space and ``the``, is one token."""
    assert all(len(tokenizer.encode(f" the {noun}")) == 1 for noun in default_vocabulary())


def test_a_description_is_its_stock_phrases(tokenizer: TransformersTokenizer) -> None:
    """Places, verbs and objects are one token each."""
    spelt = [
        tokenizer.token_bytes[i].decode() for i in tokenizer.encode(f"Description: {DESCRIPTION}")
    ]
    assert spelt[:6] == [
        "Description: Box 0 contains", " the bag", " and", " the map",
        ", Box 1 contains", " nothing",
    ]  # fmt: skip
    assert spelt[-10:] == [
        ". Move", " the bag", " and", " the map", " from Box 0", " to Box 1",
        ". Put", " the cup", " into Box 5", ".",
    ]  # fmt: skip


@given(text=st.text())
def test_any_text_is_spelt_byte_by_byte(tokenizer: TransformersTokenizer, text: str) -> None:
    """The bytes of the ids are the bytes of the text, whatever characters it has."""
    special = tokenizer.raw.all_special_tokens
    if not any(token in text for token in special):
        assert detokenize(tokenizer.token_bytes, tokenizer.encode(text)) == text


def test_prompt_and_answer_meet_between_tokens(tokenizer: TransformersTokenizer) -> None:
    """The ids of prompt and answer together are the prompt's and then the answer's."""
    asked = completion(DESCRIPTION)
    answer = f"Statement: {DESCRIPTION.partition('. ')[0]}."
    assert tokenizer.encode(asked + answer) == tokenizer.encode(asked) + tokenizer.encode(answer)


def test_a_prompt_begins_with_one_bos(tokenizer: TransformersTokenizer) -> None:
    """Prompts get the tokenizer's BOS, once."""
    ids = prompt(tokenizer, DESCRIPTION, PromptSettings()).token_ids
    assert ids[0] == tokenizer.bos_id
    assert tokenizer.bos_id not in ids[1:]
    assert tokenizer.eos_id not in ids
