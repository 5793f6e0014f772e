"""A regular expression over a tokenizer's own bytes: which tokens may come next.

The automaton is outlines-core's; the vocabulary it is built over is not outlines' token
strings but the exact bytes of every id, so that no family gains or loses a space.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from outlines_core import Guide, Index, Vocabulary

from benchmark.errors import ModelError


class Constraint:
    """The expression compiled for a vocabulary.

    outlines-core's automaton is exact for expressions that are deterministic and whose matches
    are extended only through further matches, as the answer expression's are. Of alternatives
    it prefers the earlier (``a|ab`` never gives ``ab``), and a token that leaves a match to
    come back to another is not allowed (``x(yz)?`` with tokens ``y`` and ``z``). The tests pin
    both.
    """

    def __init__(self, expression: str, token_bytes: Mapping[int, bytes], eos_id: int) -> None:
        """Compile.

        Args:
            expression: a regular expression without look-around, as described above.
            token_bytes: the bytes of every id that stands for text.
            eos_id: the id that may end a match, and comes only there.

        Raises:
            ModelError: when the vocabulary leads to a dead end, or the expression is not one.
        """
        ids_of: defaultdict[bytes, list[int]] = defaultdict(list)
        for token_id, spelling in token_bytes.items():
            # An empty spelling would be allowed everywhere without getting anywhere.
            if spelling and token_id != eos_id:
                ids_of[spelling].append(token_id)
        self.eos_id = eos_id
        try:
            self.index = Index(expression, Vocabulary(eos_id, dict(ids_of)))
        except ValueError as error:
            raise ModelError(f"the expression does not go with this tokenizer: {error}") from error

    def allowed(self, path: Iterable[int]) -> frozenset[int]:
        """The ids that may follow the path.

        Raises:
            ValueError: when the path itself is not allowed.
        """
        guide = Guide(self.index)
        for token_id in path:
            guide.advance(token_id, return_tokens=False)
        return frozenset(guide.get_tokens())
