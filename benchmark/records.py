"""Frozen types shared by several packages, in the order of the pipeline."""

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

    A box of ``None`` is the outside: ``put`` has no source, ``remove`` has no destination.
    """

    kind: Kind
    objects: Contents
    source: int | None
    destination: int | None


@dataclass(frozen=True, slots=True)
class Query:
    """One query: the contents of ``box`` in a state.

    ``numops`` is the number of operations that changed the contents of the box,
    ``numops_by_op`` the same by kind as ``(move, remove, put)``.
    """

    box: int
    gold: Contents
    numops: int
    numops_by_op: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class State:
    """A prefix of an operation sequence, in words, and its seven queries.

    ``sample_id`` identifies the sequence, which is the cluster in all statistics.
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
    """A model's input: the rendered text, and its token ids including the BOS."""

    text: str
    token_ids: TokenIds


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's output: new tokens without the end-of-sequence token, and their text.

    ``finished`` is False if the token limit cut the text off.
    """

    token_ids: TokenIds
    text: str
    finished: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion as contents by box, ``None`` for a box without an answer.

    ``verbatim`` has the unchanged words after ``contains``, for clauses that are complete.
    """

    contents: tuple[frozenset[str] | None, ...]
    verbatim: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Right or wrong for each query of one state, with the numops and the cluster to count by."""

    sample_id: int
    numops: tuple[int, ...]
    correct: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """A number of correct queries out of a total."""

    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """The share of correct queries in 0..1, NaN without queries."""
        return self.correct / self.total if self.total else float("nan")
