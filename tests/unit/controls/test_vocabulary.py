"""The controls' tokenizer: common phrases are single tokens, and every text is encoded exactly."""

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
    """Each of the 100 nouns is one token together with a space and ``the``."""
    assert all(len(tokenizer.encode(f" the {noun}")) == 1 for noun in default_vocabulary())


def test_common_phrases_are_single_tokens(tokenizer: TransformersTokenizer) -> None:
    """Boxes with their verbs, objects and locations are one token each."""
    pieces = [
        tokenizer.token_bytes[i].decode() for i in tokenizer.encode(f"Description: {DESCRIPTION}")
    ]
    assert pieces[:6] == [
        "Description: Box 0 contains", " the bag", " and", " the map",
        ", Box 1 contains", " nothing",
    ]  # fmt: skip
    assert pieces[-10:] == [
        ". Move", " the bag", " and", " the map", " from Box 0", " to Box 1",
        ". Put", " the cup", " into Box 5", ".",
    ]  # fmt: skip


@given(text=st.text())
def test_every_text_is_encoded_exactly(tokenizer: TransformersTokenizer, text: str) -> None:
    """The bytes of the ids are the bytes of the text."""
    special = tokenizer.raw.all_special_tokens
    if not any(token in text for token in special):
        assert detokenize(tokenizer.token_bytes, tokenizer.encode(text)) == text


def test_no_token_spans_prompt_and_answer(tokenizer: TransformersTokenizer) -> None:
    """The ids of prompt and answer together are those of the prompt and of the answer."""
    text = completion(DESCRIPTION)
    answer = f"Statement: {DESCRIPTION.partition('. ')[0]}."
    assert tokenizer.encode(text + answer) == tokenizer.encode(text) + tokenizer.encode(answer)


def test_a_prompt_begins_with_one_bos(tokenizer: TransformersTokenizer) -> None:
    """A prompt has the tokenizer's BOS once, at its start."""
    ids = prompt(tokenizer, DESCRIPTION, PromptSettings()).token_ids
    assert ids[0] == tokenizer.bos_id
    assert tokenizer.bos_id not in ids[1:]
    assert tokenizer.eos_id not in ids
