"""A tokenizer as the benchmark needs it: prompts to ids, and ids to exact bytes.

Every id has one spelling in bytes, taken from the vocabulary itself. Libraries' own token
strings are not used: they add or drop spaces, by family and by release.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from benchmark.errors import ModelError
from benchmark.models.bos import BosRule, of_definition
from benchmark.models.token_bytes import speller
from benchmark.records import Message, TokenIds

if TYPE_CHECKING:
    from tokenizers import Tokenizer as BackendTokenizer
    from transformers import PreTrainedTokenizerFast

_PROBE = "Statement: Box 0 contains the bag and the map, Box 6 contains nothing.\n\nDescription: "

_DAY = date(2024, 5, 31)
"""What chat templates are told is today."""


class Tokenizer(Protocol):
    """What prompts and engines ask of a tokenizer."""

    @property
    def bos_id(self) -> int | None:
        """The id that is named as the beginning of a sequence; None if none is named."""

    @property
    def leading_bos(self) -> int | None:
        """The id that the model's own tokenizer puts before a text; None if it puts none."""

    @property
    def eos_id(self) -> int:
        """The id that ends a sequence."""

    @property
    def token_bytes(self) -> Mapping[int, bytes]:
        """The bytes of every id that stands for text; special tokens are left out."""

    def encode(self, text: str) -> TokenIds:
        """The ids of the text; special tokens in it are recognised, none are added."""

    def render(self, messages: Sequence[Message]) -> str:
        """The messages in the model's chat template, up to where the answer begins.

        Raises:
            ModelError: when there is no template.
            TemplateRefusalError: when the template takes no such sequence of roles.
        """


class TemplateRefusalError(ModelError):
    """The chat template does not take this sequence of roles."""


class TransformersTokenizer:
    """A tokenizer loaded by transformers.

    ``encoder`` is the one of ``tokenizer.json`` as it stands; what transformers makes of that file
    differs for some classes and releases (Llama 2's chat prompt, DeepSeek's spaces).
    """

    def __init__(
        self,
        raw: "PreTrainedTokenizerFast",
        name: str,
        bos: BosRule | None = None,
        encoder: "BackendTokenizer | None" = None,
    ) -> None:
        """Take the tokenizer and the model's name, and check that it spells the prompt.

        Without a rule for the BOS, the post-processor says whether one is added.
        """
        self.raw = raw
        self.name = name
        self._encoder = encoder
        self.bos = bos or of_definition(self._definition)
        self._preflight()

    @property
    def bos_id(self) -> int | None:
        """The id that is named as the beginning of a sequence; None if none is named."""
        bos: int | None = self.raw.bos_token_id
        return bos

    @property
    def leading_bos(self) -> int | None:
        """The id that the model's own tokenizer puts before a text; None if it puts none."""
        return self.bos_id if self.bos.added else None

    @property
    def eos_id(self) -> int:
        """The id that ends a sequence."""
        if self.raw.eos_token_id is None:
            raise ModelError(f"{self.name}: the tokenizer has no end-of-sequence token")
        return int(self.raw.eos_token_id)

    @cached_property
    def token_bytes(self) -> Mapping[int, bytes]:
        """The bytes of every id that stands for text."""
        spell = speller(self._definition, self.name)
        # Not all_special_ids alone: it knows only those with a role, such as BOS.
        added = self.raw.added_tokens_decoder.items()
        special = {self.eos_id, *self.raw.all_special_ids, *(i for i, t in added if t.special)}
        vocabulary: dict[str, int] = self._backend.get_vocab(with_added_tokens=True)
        return {
            token_id: spell(token)
            for token, token_id in vocabulary.items()
            if token_id not in special
        }

    def encode(self, text: str) -> TokenIds:
        """The ids of the text, without what the tokenizer would add."""
        return tuple(self._backend.encode(text, add_special_tokens=False).ids)

    def read_otherwise(self, texts: Sequence[str]) -> int:
        """Return of how many texts transformers makes other ids than ``tokenizer.json`` says."""
        if self._encoder is None:
            return 0
        read = (tuple(self.raw.encode(text, add_special_tokens=False)) for text in texts)
        return sum(ids != self.encode(text) for ids, text in zip(read, texts, strict=True))

    def render(self, messages: Sequence[Message]) -> str:
        """The messages in the model's chat template."""
        from jinja2 import TemplateError

        if self.raw.chat_template is None:
            raise ModelError(f"{self.name}: no chat template; use --prompt-format completion")
        turns = [{"role": turn.role, "content": turn.content} for turn in messages]
        try:
            text = self.raw.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=True,
                # Some templates put today's date into the prompt, which would change it overnight.
                date_string=_DAY.strftime("%d %b %Y"),
                strftime_now=_DAY.strftime,
            )
        except TemplateError as error:
            raise TemplateRefusalError(f"{self.name}: chat template: {error}") from error
        except Exception as error:  # whatever a template does that Python does not like
            raise ModelError(f"{self.name}: chat template: {error!r:.200}") from error
        return str(text)

    @property
    def _backend(self) -> "BackendTokenizer":
        if self._encoder is not None:
            return self._encoder
        if not hasattr(self.raw, "backend_tokenizer"):
            raise ModelError(
                f"{self.name}: no tokenizer.json and none can be made of what is there"
            )
        backend: BackendTokenizer = self.raw.backend_tokenizer
        return backend

    @cached_property
    def _definition(self) -> dict[str, object]:
        definition: dict[str, object] = json.loads(self._backend.to_str())
        return definition

    def _preflight(self) -> None:
        """Check that the token_bytes give back a prompt, up to a space put before it."""
        text = spell_out(self.token_bytes, self.encode(_PROBE))
        if text.removeprefix(" ") != _PROBE:
            raise ModelError(
                f"{self.name}: its tokens do not spell the prompt: {text!r}; the tokenizer's files "
                "are incomplete or of a kind that is not supported"
            )


def spell_out(token_bytes: Mapping[int, bytes], ids: Iterable[int]) -> str:
    """The text of the ids; special tokens give nothing, broken UTF-8 a replacement character."""
    return b"".join(token_bytes.get(i, b"") for i in ids).decode("utf-8", errors="replace")
