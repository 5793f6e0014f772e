"""Converting vocabulary entries to bytes, compared with the libraries that write them."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers.convert_slow_tokenizer import bytes_to_unicode

from benchmark.errors import ModelError
from benchmark.models.token_bytes import byte_level, sentencepiece, token_decoder

ALPHABET = bytes_to_unicode()
SPACE = "\u2581"


@given(st.text())
def test_byte_level_inverts_the_pre_tokenizer(text: str) -> None:
    """Text written by the tokenizers library is converted back to its bytes."""
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    assert b"".join(byte_level(piece) for piece, _ in pieces) == text.encode()


@given(st.binary())
@example(bytes(range(256)))
def test_byte_level_inverts_the_alphabet(content: bytes) -> None:
    """Any bytes, even invalid UTF-8, are converted back from GPT-2's alphabet."""
    assert byte_level("".join(ALPHABET[byte] for byte in content)) == content


@given(st.text(alphabet=st.characters(codec="utf-8")))
@example("<\uff5cend\u2581of\u2581sentence\uff5c>")
@example("\n\n")
def test_byte_level_reads_added_tokens_as_the_decoder_does(entry: str) -> None:
    """An entry with a character outside the alphabet is plain text, as in the library's decoder."""
    decoded = decoders.ByteLevel().decode([entry])
    assert byte_level(entry).decode("utf-8", errors="replace") == decoded


def test_sentencepiece_byte() -> None:
    """A byte entry is that byte, with upper- or lower-case digits."""
    for byte in range(256):
        assert sentencepiece(f"<0x{byte:02X}>") == bytes([byte])
        assert sentencepiece(f"<0x{byte:02x}>") == bytes([byte])


@pytest.mark.parametrize("entry", ["<0x4>", "<0x414>", "<0xGG>", "<0x41", "0x41", "<0x41>s", "<s>"])
def test_sentencepiece_reads_what_only_looks_like_a_byte_as_text(entry: str) -> None:
    """Only the exact form of a byte entry is a byte."""
    assert sentencepiece(entry) == entry.encode()


@given(st.lists(st.tuples(st.characters(codec="utf-8", exclude_characters=SPACE), st.booleans())))
def test_sentencepiece_gives_back_text(characters: list[tuple[str, bool]]) -> None:
    """Text with some characters written as bytes is decoded as by the library."""
    entries = []
    for character, as_bytes in characters:
        if as_bytes:
            entries += [f"<0x{byte:02X}>" for byte in character.encode()]
        else:
            entries.append(character.replace(" ", SPACE))
    text = "".join(character for character, _ in characters)
    assert b"".join(map(sentencepiece, entries)) == text.encode()
    library = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    assert library.decode(entries) == text


@pytest.mark.parametrize(
    ("entry", "spelling"),
    [(f"{SPACE}the", b" the"), (SPACE * 3, b"   "), (f"a{SPACE}b", b"a b"), ("the", b"the")],
)
def test_sentencepiece_space(entry: str, spelling: bytes) -> None:
    """U+2581 is a space at any position, and no other space is added."""
    assert sentencepiece(entry) == spelling


def _definition(decoder: decoders.Decoder | None) -> dict[str, object]:
    """Return the ``tokenizer.json`` of a tokenizer with this decoder."""
    backend = Tokenizer(models.BPE())
    if decoder is not None:
        backend.decoder = decoder
    definition: dict[str, object] = json.loads(backend.to_str())
    return definition


@pytest.mark.parametrize(
    "decoder",
    [
        decoders.ByteLevel(),
        decoders.Sequence([decoders.Fuse(), decoders.Sequence([decoders.ByteLevel()])]),
    ],
)
def test_byte_level_tokenizers_are_recognised(decoder: decoders.Decoder) -> None:
    """A byte-level decoder, alone or inside sequences, means a byte-level vocabulary."""
    assert token_decoder(_definition(decoder), "some-model") is byte_level


@pytest.mark.parametrize(
    "decoder",
    [
        decoders.Metaspace(),
        decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback()]),
        decoders.Sequence(
            [
                decoders.Replace(SPACE, " "),
                decoders.ByteFallback(),
                decoders.Fuse(),
                decoders.Strip(" ", 1, 0),
            ]
        ),
    ],
)
def test_sentencepiece_tokenizers_are_recognised(decoder: decoders.Decoder) -> None:
    """The decoders of Llama, Mistral and Gemma mean a SentencePiece vocabulary."""
    assert token_decoder(_definition(decoder), "some-model") is sentencepiece


@pytest.mark.parametrize(
    ("decoder", "named"),
    [
        (decoders.WordPiece(), "WordPiece"),
        (decoders.Sequence([decoders.Fuse(), decoders.CTC()]), "CTC, Fuse, Sequence"),
        (None, "missing"),
    ],
)
def test_other_tokenizers_are_refused(decoder: decoders.Decoder | None, named: str) -> None:
    """Another decoder, or a missing one, is refused with the names of model and decoder."""
    with pytest.raises(ModelError) as refused:
        token_decoder(_definition(decoder), "some-model")
    message = str(refused.value)
    assert message.startswith("some-model: ")
    assert f"its decoder is {named})" in message
    assert "\n" not in message
