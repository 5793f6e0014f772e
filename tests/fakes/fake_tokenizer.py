"""A tokenizer with one id per byte, followed by BOS and EOS."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import ModelError
from benchmark.records import Message, TokenIds

_BOS, _EOS = 256, 257
_SPECIAL = re.compile("(<s>|</s>)")


def _no_template(messages: Sequence[Message]) -> str:
    raise ModelError("fake: no chat template")


@dataclass(frozen=True)
class FakeTokenizer:
    """Implements ``benchmark.models.tokenizer.Tokenizer``, with a function as its template."""

    name: str = "fake"
    bos_id: int | None = _BOS
    adds_bos: bool = True
    eos_id: int = _EOS
    template: Callable[[Sequence[Message]], str] = _no_template

    @property
    def leading_bos(self) -> int | None:
        """The BOS, unless ``adds_bos`` is False."""
        return self.bos_id if self.adds_bos else None

    @property
    def token_bytes(self) -> Mapping[int, bytes]:
        """The bytes of all ids."""
        return {byte: bytes([byte]) for byte in range(256)}

    def encode(self, text: str) -> TokenIds:
        """Return the bytes of the text; ``<s>`` and ``</s>`` are one id each."""
        special = {"<s>": (_BOS,), "</s>": (_EOS,)}
        parts = (special.get(part, tuple(part.encode())) for part in _SPECIAL.split(text))
        return tuple(i for part in parts for i in part)

    def render(
        self, messages: Sequence[Message], *, content_parts: bool = False, generation: bool = True
    ) -> str:
        """Apply the template to the messages."""
        return self.template(messages)
