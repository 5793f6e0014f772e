"""The frozen types that cross rooms, in the order in which the rooms hand them on."""

from dataclasses import dataclass
from typing import Literal

Contents = tuple[str, ...]
"""The objects of one box, in alphabetical order."""

World = tuple[Contents, ...]
"""The contents of every box, by box number."""

Kind = Literal["move", "remove", "put"]
"""The kinds of operation, named as in the dataset's ``numops_by_op``."""

TokenIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: ``objects`` go from ``source`` to ``destination``.

    ``None`` for a box means the outside: ``put`` has no source, ``remove`` no destination.
    """

    kind: Kind
    objects: Contents
    source: int | None
    destination: int | None


@dataclass(frozen=True, slots=True)
class Query:
    """One question: what does ``box`` hold now?

    ``numops`` counts the operations that changed the contents of the box,
    ``numops_by_op`` the same by kind as ``(move, remove, put)``.
    """

    box: int
    gold: Contents
    numops: int
    numops_by_op: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class State:
    """A prefix of an operation sequence, in words, and its seven queries.

    ``sample_id`` is the sequence the state was cut from: the cluster of all statistics.
    """

    sample_id: int
    description: str
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is given: the text as rendered and its token ids, BOS included."""

    text: str
    token_ids: TokenIds


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model gave back: new tokens without the end-of-sequence token, and their text.

    ``finished`` is False when the token limit cut the text off.
    """

    token_ids: TokenIds
    text: str
    finished: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion as contents by box; ``None`` where it does not answer for the box.

    ``verbatim`` has the words after ``contains``, as they are, where the clause has an end.
    """

    contents: tuple[frozenset[str] | None, ...]
    verbatim: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Right or wrong for each query of one state, with what the counts are made by."""

    sample_id: int
    numops: tuple[int, ...]
    correct: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """So many of so many queries are correct."""

    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """The share of correct queries in 0..1; NaN where there is no query."""
        return self.correct / self.total if self.total else float("nan")
