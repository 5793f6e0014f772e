"""A regular expression over a tokenizer's own bytes: which tokens may come next.

The automaton is outlines-core's. It is built over the exact bytes of every id, not over outlines'
token strings, which add or drop spaces for some model families.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from outlines_core import Guide, Index, Vocabulary

from benchmark.errors import ModelError


class Constraint:
    """An expression compiled for a vocabulary.

    outlines-core's automaton is exact for deterministic expressions whose matches are extended
    only through further matches; the answer expression is one. In other expressions an earlier
    alternative wins (``a|ab`` never matches ``ab``), and a token that leaves a match on the way to
    a longer one is not allowed (``x(yz)?`` with tokens ``y`` and ``z``). Tests pin both.
    """

    def __init__(self, expression: str, token_bytes: Mapping[int, bytes], eos_id: int) -> None:
        """Compile.

        Args:
            expression: a regular expression without look-around, as described above.
            token_bytes: the bytes of every id that is text.
            eos_id: the id that ends a match; it is allowed only after one.

        Raises:
            ModelError: if the expression is invalid, or the vocabulary leads to a dead end.
        """
        ids_of: defaultdict[bytes, list[int]] = defaultdict(list)
        for token_id, spelling in token_bytes.items():
            # An empty spelling would be allowed everywhere and never advance the match.
            if spelling and token_id != eos_id:
                ids_of[spelling].append(token_id)
        self.eos_id = eos_id
        try:
            self.index = Index(expression, Vocabulary(eos_id, dict(ids_of)))
        except ValueError as error:
            raise ModelError(
                f"the expression cannot be compiled for this tokenizer: {error}"
            ) from error

    def allowed(self, path: Iterable[int]) -> frozenset[int]:
        """Return the ids that may follow the path.

        Raises:
            ValueError: if the path itself is not allowed.
        """
        guide = Guide(self.index)
        for token_id in path:
            guide.advance(token_id, return_tokens=False)
        return frozenset(guide.get_tokens())
