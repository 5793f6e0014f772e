"""A regular expression over a tokenizer's own bytes: which tokens may come next.

The automaton is outlines-core's; the vocabulary it is built over is not outlines' token
strings but the exact bytes of every id, so that no family gains or loses a space.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from outlines_core import Guide, Index, Vocabulary

from benchmark.errors import ModelError


class Constraint:
    """The expression compiled for a vocabulary."""

    def __init__(self, expression: str, spellings: Mapping[int, bytes], eos_id: int) -> None:
        """Compile.

        Args:
            expression: a regular expression without look-around.
            spellings: the bytes of every id that stands for text.
            eos_id: the id that may end a match, and comes only there.

        Raises:
            ModelError: when no path of the vocabulary can match.
        """
        ids_of: defaultdict[bytes, list[int]] = defaultdict(list)
        for token_id, spelling in spellings.items():
            # An empty spelling would be allowed everywhere without getting anywhere.
            if spelling and token_id != eos_id:
                ids_of[spelling].append(token_id)
        self.eos_id = eos_id
        try:
            self.index = Index(expression, Vocabulary(eos_id, dict(ids_of)))
        except ValueError as error:
            raise ModelError(
                f"no text of this tokenizer can match the expression: {error}"
            ) from error

    def allowed(self, path: Iterable[int]) -> frozenset[int]:
        """The ids that may follow the path.

        Raises:
            ValueError: when the path itself is not allowed.
        """
        guide = Guide(self.index)
        for token_id in path:
            guide.advance(token_id, return_tokens=False)
        return frozenset(guide.get_tokens())
