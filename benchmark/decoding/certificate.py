"""Judge an engine's answers by one rule, without decoding them again.

An answer is certified if the constraint accepts its tokens, and if at each of them the reference
model's best allowed logit exceeds the chosen token's by no more than rounding explains. The logits
are of one teacher-forced pass over prompt and answer, so that equal tokens are not asked for: two
engines may take different sides of a near tie and are both certified.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch

from benchmark.decoding.constraint_trace import ConstraintTrace
from benchmark.decoding.log_probs import ForcedSequence
from benchmark.decoding.logit_tolerance import margin_floor
from benchmark.decoding.teacher_forcing import teacher_forced_logits
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmark.decoding.constraint import Constraint

Rule = Literal["constraint", "margin", "end", "limit", "after end"]
"""What an answer breaks: the constraint, the noise floor, or the token limit.

It breaks the limit by ending before it without an end (``end``), or by more tokens (``limit``).
Nothing may follow an end of the sequence (``after end``), and an answer with one is not cut off.
"""


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """A prompt and the tokens that an engine answered with, without the end of the sequence.

    ``finished`` says whether the engine ended the answer; otherwise the token limit cut it off.
    """

    prompt: TokenIds
    token_ids: TokenIds
    finished: bool


@dataclass(frozen=True, slots=True)
class Violation:
    """A token that the rule does not allow.

    Attributes:
        answer: the index of the answer.
        place: the token's index in the answer; its length for the end of the sequence.
        rule: what it breaks.
        chosen: the engine's token; None if the answer is cut off there.
        best: the reference's likeliest allowed token there; after an end, the end.
        margin: the logit of ``best`` minus that of ``chosen``; None if the rule asks for none.
        floor: the margin that rounding explains.
    """

    answer: int
    place: int
    rule: Rule
    chosen: int | None
    best: int
    margin: float | None
    floor: float


@dataclass
class Certificate:
    """The verdict on a set of answers.

    Attributes:
        answers: how many were judged.
        tokens: their tokens, ends of the sequence included.
        choices: the tokens at which the constraint allowed another one.
        near_ties: choices of a token that is not the reference's, within the noise floor.
        largest: the largest margin within the floor, as a share of the floor.
        violations: in the order of answers and places.
    """

    answers: int = 0
    tokens: int = 0
    choices: int = 0
    near_ties: int = 0
    largest: float = 0.0
    violations: list[Violation] = field(default_factory=list)

    @property
    def certified(self) -> bool:
        """Whether no answer breaks the rule."""
        return not self.violations


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """The rule that answers are judged by.

    Attributes:
        constraint: what answers must match; None for an engine without a constraint.
        ends: the ids that end an answer; with a constraint only its own.
        max_new_tokens: the token limit; an answer without an end must have that many tokens.
        dtypes: the dtypes of the engine and of the reference.
    """

    constraint: "Constraint | None"
    ends: Sequence[int]
    max_new_tokens: int
    dtypes: tuple[torch.dtype, torch.dtype]


def certify(
    model: "PreTrainedModel",
    answers: Sequence[EngineAnswer],
    rule: AnswerRule,
    batch_size: int,
) -> Certificate:
    """Return the certificate of these answers.

    Raises:
        NonFiniteLogitsError: if logits of the reference are not finite; its prompt is the answer's
            index.
    """
    judge = _Judge(rule)
    vocabulary = model.get_input_embeddings().num_embeddings
    rows = [_forced(answer, rule.ends[0], vocabulary) for answer in answers]
    numbered = iter(enumerate(answers))
    for batch in teacher_forced_logits(model, rows, batch_size, rule.ends[0]):
        for logits in batch:
            index, answer = next(numbered)
            judge(index, answer, logits)
    return judge.certificate


def _forced(answer: EngineAnswer, end: int, vocabulary: int) -> ForcedSequence:
    """Return what goes through the model: the answer and one more token, which is not read.

    An id that the model does not have is replaced; what follows it is not judged.
    """
    ids = (i if i < vocabulary else end for i in answer.token_ids)
    return ForcedSequence(answer.prompt, (*ids, end))


@dataclass
class _Judge:
    """Judges answers one after the other; sets of allowed tokens are shared."""

    rule: AnswerRule
    certificate: Certificate = field(default_factory=Certificate)
    _tensors: dict[int, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        constraint = self.rule.constraint
        self._trace = None if constraint is None else ConstraintTrace(constraint)
        self._floor = margin_floor(*self.rule.dtypes)

    def __call__(self, index: int, answer: EngineAnswer, logits: torch.Tensor) -> None:
        """Judge an answer; ``logits`` has shape (its tokens + 1, vocabulary)."""
        path = (*answer.token_ids, self.rule.ends[0])
        floor = self._floor * logits.std().item()
        numbers = self._trace.set_numbers(path) if self._trace else (None,) * len(path)
        self.certificate.answers += 1
        judged, ended = len(path) if answer.finished else len(path) - 1, False
        for place in range(judged):
            if ended:
                self._after_end(index, place, path[place], floor)
                return
            if not self._token(index, place, path[place], numbers[place], logits[place], floor):
                return
            ended = path[place] in self.rule.ends
        if ended and not answer.finished:
            self._after_end(index, judged, None, floor)
            return
        if judged < min(len(path), self.rule.max_new_tokens):
            best = self._best(numbers[judged], logits[judged])
            early = Violation(index, judged, "end", None, best, None, floor)
            self.certificate.violations.append(early)
        limit = self.rule.max_new_tokens
        if len(answer.token_ids) > limit:
            best = self._best(numbers[limit], logits[limit])
            late = Violation(index, limit, "limit", path[limit], best, None, floor)
            self.certificate.violations.append(late)

    def _token(
        self,
        index: int,
        place: int,
        token: int,
        number: int | None,
        logits: torch.Tensor,
        floor: float,
    ) -> bool:
        """Judge a token; return whether the constraint allows it, so that the next is judged."""
        certificate, best = self.certificate, self._best(number, logits)
        is_allowed = self._trace is None or number is None or token in self._trace.sets[number]
        certificate.tokens += 1
        certificate.choices += number is None or self._allowed(number).numel() > 1
        margin = (logits[best] - self._logit(token, logits)).item()
        if is_allowed and margin <= floor:
            certificate.near_ties += margin > 0
            certificate.largest = max(certificate.largest, margin / floor)
            return True
        rule: Rule = "margin" if is_allowed else "constraint"
        certificate.violations.append(Violation(index, place, rule, token, best, margin, floor))
        return is_allowed

    def _after_end(self, index: int, place: int, token: int | None, floor: float) -> None:
        end = self.rule.ends[0]
        late = Violation(index, place, "after end", token, end, None, floor)
        self.certificate.violations.append(late)

    def _logit(self, token: int, logits: torch.Tensor) -> torch.Tensor:
        """Return a token's logit; of the end without a constraint, that of the likeliest end."""
        if self._trace is None and token == self.rule.ends[0]:
            return logits[list(self.rule.ends)].max()
        # A token that the model lacks is one that the constraint does not allow.
        return logits[token] if token < len(logits) else logits.min()

    def _best(self, number: int | None, logits: torch.Tensor) -> int:
        """Return the likeliest token of a set of allowed ones; of all without a constraint."""
        if number is None:
            return int(logits.argmax())
        allowed = self._allowed(number)
        return int(allowed[logits[allowed].argmax()])

    def _allowed(self, number: int) -> torch.Tensor:
        if self._trace is None:
            raise TypeError("without a constraint no token is forbidden")
        if number not in self._tensors:
            self._tensors[number] = torch.tensor(self._trace.sets[number])
        return self._tensors[number]
