"""The benchmark's view of a tokenizer that transformers has loaded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, processors
from transformers import PreTrainedTokenizerFast

from benchmark.errors import ModelError
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from fakes.tiny_tokenizer import tiny_tokenizer


def test_encode_adds_nothing() -> None:
    """``encode`` adds no BOS and EOS, even if the tokenizer itself does."""
    tokenizer = tiny_tokenizer()
    plain = tokenizer.encode("Box 0")
    tokenizer.raw.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    assert tuple(tokenizer.raw("Box 0").input_ids) == (0, *plain, 1)
    assert tokenizer.encode("Box 0") == plain


def test_a_text_without_tokens() -> None:
    """The library's error, which has no class of its own, is one of the project's."""
    backend = Tokenizer(models.Unigram([("a", 0.0)]))
    backend.decoder = decoders.Metaspace()
    raw = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")  # noqa: S106
    with pytest.raises(ModelError, match=r"^x: its tokenizer cannot encode a prompt: .*unk"):
        TransformersTokenizer(raw, "x")


def test_encode_recognises_special_tokens() -> None:
    """A BOS or EOS that a chat template writes is that token, not its letters."""
    tokenizer = tiny_tokenizer()
    inner = tokenizer.encode("a")
    assert tokenizer.encode("<s>a</s><s>a") == (0, *inner, 1, 0, *inner)


def test_special_tokens_have_no_spelling() -> None:
    """All ids except special tokens have bytes; other added tokens are text."""
    tokenizer = tiny_tokenizer()
    tokenizer.raw.add_tokens([AddedToken("<tool>", special=True), AddedToken("<text>")])
    tool, text = tokenizer.raw.convert_tokens_to_ids(["<tool>", "<text>"])
    fresh = TransformersTokenizer(tokenizer.raw, "fresh")
    assert set(range(len(fresh.raw))) - fresh.token_bytes.keys() == {0, 1, tool}
    assert fresh.token_bytes[text] == b"<text>"


@given(content=st.binary(max_size=9))
def test_spelled_out(content: bytes) -> None:
    """Bytes are decoded as UTF-8 with replacement characters; unknown ids are skipped."""
    token_bytes = {byte: bytes([byte]) for byte in range(256)}
    ids = [i for byte in content for i in (byte, 256)]
    assert detokenize(token_bytes, ids) == content.decode("utf-8", errors="replace")


def test_tokenizer_without_bos() -> None:
    """A tokenizer may have no BOS; without an EOS it is refused by name."""
    tokenizer = tiny_tokenizer()
    tokenizer.raw.bos_token = None
    assert tokenizer.bos_id is None
    tokenizer.raw.eos_token = None
    with pytest.raises(ModelError, match=r"^tiny: the tokenizer has no end-of-sequence token"):
        _ = tokenizer.eos_id


def test_tokenizer_without_a_backend() -> None:
    """A tokenizer without a tokenizer.json and without a backend is refused by name."""

    class Slow:
        """A tokenizer in Python, without a backend."""

    with pytest.raises(ModelError, match=r"^slow: it has no tokenizer\.json"):
        TransformersTokenizer(Slow(), "slow")
