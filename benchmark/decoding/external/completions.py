"""Turn ids returned by an external engine into a checked completion."""

from dataclasses import dataclass

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.constraint_trace import FORBIDDEN, ConstraintTrace
from benchmark.models.tokenizer import Tokenizer, detokenize
from benchmark.records import Completion, TokenIds


class FaultyReplyError(Exception):
    """A reply that another try may put right."""


@dataclass(frozen=True, slots=True)
class EngineReply:
    """An answer's ids as an engine returned them, and whether the model ended it."""

    token_ids: TokenIds
    finished: bool


@dataclass(frozen=True, slots=True)
class ReplyCheck:
    """What an answer must be: allowed by the constraint, and ended or as long as the limit."""

    tokenizer: Tokenizer
    constraint: Constraint
    max_new_tokens: int

    def completion(self, reply: EngineReply) -> Completion:
        """Return the completion of a reply.

        Raises:
            FaultyReplyError: if it breaks the constraint, goes on after an end, is cut before the
                limit, or is longer.
        """
        end, ids = self.tokenizer.eos_id, reply.token_ids
        # A server may return the end or not, and another end than the tokenizer's, such as the end
        # of a turn: a token without a text.
        if reply.finished and ids and (ids[-1] == end or ids[-1] not in self.tokenizer.token_bytes):
            ids = ids[:-1]
        path = (*ids, end) if reply.finished else ids
        text = detokenize(self.tokenizer.token_bytes, ids)
        if end in ids:
            raise FaultyReplyError(f"an answer that goes on after its end: {text[-60:]!r}")
        if not accepts_start(self.constraint, path):
            raise FaultyReplyError(f"an answer that breaks the constraint: {text[-60:]!r}")
        if len(ids) > self.max_new_tokens:
            raise FaultyReplyError(
                f"an answer of {len(ids)} tokens, where the limit is {self.max_new_tokens}"
            )
        if not reply.finished and len(ids) < self.max_new_tokens:
            raise FaultyReplyError(
                f"an answer that was cut after {len(ids)} of {self.max_new_tokens} tokens"
            )
        return Completion(ids, text, reply.finished)


def accepts_start(constraint: Constraint, ids: TokenIds) -> bool:
    """Return whether the ids begin an answer that the constraint allows; an end may be the last."""
    trace = ConstraintTrace(constraint)
    numbers = trace.set_numbers(ids)
    return not ids or (FORBIDDEN not in numbers and ids[-1] in trace.sets[numbers[-1]])
