"""The benchmark's tokenizer: from prompts to ids, and from ids to exact bytes.

The bytes of every id are taken from the vocabulary. The libraries' own token strings are not used,
because they add or drop spaces depending on the family and the release.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from benchmark.errors import ModelError, first_line
from benchmark.models.bos import BosRule, bos_rule_of_definition
from benchmark.models.template_date import fixed_date
from benchmark.models.template_process import (
    ChatRenderer,
    RenderingError,
    RenderingLimitError,
    Turns,
)
from benchmark.models.token_bytes import token_decoder
from benchmark.reading.documents import json_object
from benchmark.records import Message, TokenIds

if TYPE_CHECKING:
    from tokenizers import Tokenizer as BackendTokenizer
    from transformers import PreTrainedTokenizerFast

_PROBE = "Statement: Box 0 contains the bag and the map, Box 6 contains nothing.\n\nDescription: "

_RENDERING_LIMIT = 5.0
"""The seconds that a chat template may take. Real ones take milliseconds."""


class Tokenizer(Protocol):
    """The interface of tokenizers for prompts and engines."""

    @property
    def name(self) -> str:
        """The model's name or path, for messages."""

    @property
    def bos_id(self) -> int | None:
        """The id of the beginning-of-sequence token, None if the tokenizer has none."""

    @property
    def leading_bos(self) -> int | None:
        """The BOS that the model's own tokenizer puts before a text, None if it adds none."""

    @property
    def eos_id(self) -> int:
        """The id that ends a sequence."""

    @property
    def token_bytes(self) -> Mapping[int, bytes]:
        """The bytes of every id of text; special tokens are excluded."""

    def encode(self, text: str) -> TokenIds:
        """Return the ids of the text; special tokens in it are recognized, and none are added."""

    def render(
        self, messages: Sequence[Message], *, content_parts: bool = False, generation: bool = True
    ) -> str:
        """Return the messages in the model's chat template, up to the start of the answer.

        With ``content_parts`` the content of a message is a list with one part of type text.
        Without ``generation`` the template is not asked for the start of an answer.

        Raises:
            ModelError: if the model has no template, or rendering takes too much time or memory.
            ChatTemplateError: if the template rejects the messages.
        """


class ChatTemplateError(ModelError):
    """The chat template does not accept the messages, or does not render all of them."""


class TransformersTokenizer:
    """A tokenizer loaded by transformers.

    ``encoder`` is the tokenizer of ``tokenizer.json`` itself. Some classes and releases of
    transformers change it (Llama 2's chat prompt, DeepSeek's spaces).
    """

    def __init__(
        self,
        raw: "PreTrainedTokenizerFast",
        name: str,
        bos: BosRule | None = None,
        encoder: "BackendTokenizer | None" = None,
    ) -> None:
        """Take the tokenizer and the model's name, and check that its ids spell the prompt.

        Without a BOS rule, the post-processor decides whether a BOS is added.
        """
        self.raw = raw
        self.name = name
        self._encoder = encoder
        self.bos = bos or bos_rule_of_definition(self._definition)
        self._renderers = dict[str, ChatRenderer]()
        self._preflight()

    @property
    def bos_id(self) -> int | None:
        """The id of the beginning-of-sequence token, None if the tokenizer has none."""
        bos: int | None = self.raw.bos_token_id
        return bos

    @property
    def leading_bos(self) -> int | None:
        """The BOS that the model's own tokenizer puts before a text, None if it adds none."""
        return self.bos_id if self.bos.added else None

    @property
    def eos_id(self) -> int:
        """The id that ends a sequence."""
        if self.raw.eos_token_id is None:
            raise ModelError(f"{self.name}: the tokenizer has no end-of-sequence token")
        return int(self.raw.eos_token_id)

    @cached_property
    def token_bytes(self) -> Mapping[int, bytes]:
        """The bytes of every id of text; special tokens are excluded."""
        to_bytes = token_decoder({"decoder": self._decoder}, self.name)
        # all_special_ids has only the tokens with a role, such as BOS.
        added = self.raw.added_tokens_decoder.items()
        special = {self.eos_id, *self.raw.all_special_ids, *(i for i, t in added if t.special)}
        vocabulary: dict[str, int] = self._backend.get_vocab(with_added_tokens=True)
        return {
            token_id: to_bytes(token)
            for token, token_id in vocabulary.items()
            if token_id not in special
        }

    def encode(self, text: str) -> TokenIds:
        """Return the ids of the text, without special tokens that the tokenizer would add.

        Raises:
            ModelError: if the tokenizer has no tokens for the text.
        """
        try:
            return tuple(self._backend.encode(text, add_special_tokens=False).ids)
        except Exception as error:  # tokenizers raises no class of its own
            raise ModelError(
                f"{self.name}: its tokenizer cannot encode a prompt: {first_line(error)}; check "
                "tokenizer.json, and tokenizer_class in tokenizer_config.json"
            ) from error

    def count_differing(self, texts: Sequence[str]) -> int:
        """Return the number of texts that transformers encodes differently from tokenizer.json.

        Special tokens around a text, such as a BOS, are not compared. A text that transformers
        cannot encode differs.
        """
        if self._encoder is None:
            return 0
        return sum(self._encoded_by_library(text) != self.encode(text) for text in texts)

    def _encoded_by_library(self, text: str) -> TokenIds | None:
        try:
            return tuple(self.raw.encode(text, add_special_tokens=False))
        except Exception:  # noqa: BLE001  # tokenizers raises no class of its own
            return None

    def render(
        self, messages: Sequence[Message], *, content_parts: bool = False, generation: bool = True
    ) -> str:
        """Return the messages in the model's chat template, up to the start of the answer."""
        if self.raw.chat_template is None:
            raise ModelError(f"{self.name}: no chat template; use --prompt-format completion")
        turns = [{"role": turn.role, "content": _content(turn, content_parts)} for turn in messages]
        try:
            return self._renderer().render(turns, generation=generation)
        except RenderingLimitError as error:
            raise ModelError(
                f"{self.name}: its chat template {error}; use --prompt-format completion"
            ) from error
        except RenderingError as error:
            raise ChatTemplateError(f"chat template: {error}") from error

    def _renderer(self) -> ChatRenderer:
        """Return the renderer of the template, which may have been replaced."""
        template = str(self.raw.chat_template)
        if template not in self._renderers:
            renderer = ChatRenderer(self._apply_template, _RENDERING_LIMIT)
            self._renderers = {template: renderer}
        return self._renderers[template]

    def _apply_template(self, turns: Turns, generation: bool) -> str:  # noqa: FBT001
        with fixed_date() as arguments:
            return str(
                self.raw.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=generation, **arguments
                )
            )

    @property
    def _backend(self) -> "BackendTokenizer":
        if self._encoder is not None:
            return self._encoder
        if not hasattr(self.raw, "backend_tokenizer"):
            raise ModelError(
                f"{self.name}: it has no tokenizer.json, and its other files cannot be converted"
            )
        backend: BackendTokenizer = self.raw.backend_tokenizer
        return backend

    @property
    def _decoder(self) -> dict[str, object] | None:
        """The decoder alone: a definition is as large as the vocabulary."""
        decoder = self._backend.decoder
        if decoder is None:
            return None
        return json_object(decoder.__getstate__().decode(), f"{self.name}: decoder", strict=False)

    @cached_property
    def _definition(self) -> dict[str, object]:
        return json_object(self._backend.to_str(), f"{self.name}: tokenizer.json", strict=False)

    def _preflight(self) -> None:
        """Check that ``token_bytes`` reproduce a prompt, apart from an added leading space."""
        text = detokenize(self.token_bytes, self.encode(_PROBE))
        if text.removeprefix(" ") != _PROBE:
            raise ModelError(
                f"{self.name}: its tokens do not spell the prompt: {text!r}; the tokenizer's "
                "files are incomplete or of an unsupported kind"
            )


def _content(turn: Message, content_parts: bool) -> object:  # noqa: FBT001  # as the caller's
    return [{"type": "text", "text": turn.content}] if content_parts else turn.content


def detokenize(token_bytes: Mapping[int, bytes], ids: Iterable[int]) -> str:
    """Return the text of the ids, without special tokens.

    Invalid UTF-8 becomes a replacement character.
    """
    return b"".join(token_bytes.get(i, b"") for i in ids).decode("utf-8", errors="replace")
