"""The certificate accepts the engines' answers, and finds seeded faults of engines."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.world import BOXES
from benchmark.decoding.certificate import AnswerRule, Certificate, EngineAnswer, certify
from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engines import compile_constraint
from benchmark.decoding.logit_tolerance import margin_floor
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.records import Completion, TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Decoder, Questions
from benchmark.runs.requests import NOT_WRITTEN, DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named

MODELS = Path(__file__).parents[3] / "fixtures" / "models"
TASK = task_named(DEFAULT)
STATES = 4
LIMIT = 256
FLOAT32 = (torch.float32, torch.float32)
OFFLINE = LoadOptions("cpu", "float32")


def _model(name: str) -> PreTrainedModel:
    return load_model(locate(str(MODELS / name)), OFFLINE)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    """The control that tracks."""
    return _model("track")


@pytest.fixture(scope="module")
def questions() -> Questions:
    """A few states from the middle of the evaluated set, which have operations."""
    request = RunRequest(str(MODELS / "track"), NOT_WRITTEN, device="cpu", max_new_tokens=LIMIT)
    states = load_states(DataRequest(states=200))[-STATES:]
    return Questions(TASK, resolve(request), load_tokenizer(locate(request.model)), states)


def _decoded(
    questions: Questions,
    model: PreTrainedModel,
    prompts: Sequence[TokenIds],
    expression: str = TASK.expression,
) -> list[EngineAnswer]:
    """Return what an engine with this model and expression answers, with the right prompts."""
    decoder = Decoder(questions.settings, expression, questions.tokenizer, model)
    completions = decoder.completions(prompts, {})
    return [
        EngineAnswer(ids, completion.token_ids, completion.finished)
        for ids, completion in zip(questions.prompt_ids, completions, strict=True)
    ]


@pytest.fixture(scope="module")
def answers(questions: Questions, model: PreTrainedModel) -> list[EngineAnswer]:
    """What the project's own engine answers."""
    return _decoded(questions, model, questions.prompt_ids)


@pytest.fixture(scope="module")
def constraint(questions: Questions, model: PreTrainedModel) -> Constraint:
    """The task's expression for the model's vocabulary."""
    return compile_constraint(TASK.expression, questions.tokenizer, model)


@pytest.fixture(scope="module")
def judged(model: PreTrainedModel, constraint: Constraint) -> Callable[..., Certificate]:
    """Return the certificate of answers, by the rule of a constrained engine in float32."""
    rule = AnswerRule(constraint, (constraint.eos_id,), LIMIT, FLOAT32)

    def judge(answers: Sequence[EngineAnswer], **changes: object) -> Certificate:
        return certify(model, answers, replace(rule, **changes), batch_size=3)  # type: ignore[arg-type]

    return judge


Judge = Callable[..., Certificate]


def test_answers_of_the_own_engine_are_certified(
    answers: list[EngineAnswer], judged: Judge, constraint: Constraint
) -> None:
    """All tokens and ends are counted, and those with a choice apart."""
    certificate = judged(answers)
    assert certificate.certified
    paths = [(*answer.token_ids, constraint.eos_id) for answer in answers]
    assert certificate.answers == STATES
    assert certificate.tokens == sum(map(len, paths))
    allowed = [constraint.allowed(path[:i]) for path in paths for i in range(len(path))]
    assert certificate.choices == sum(len(ids) > 1 for ids in allowed)


def _naive_margins(
    model: PreTrainedModel, constraint: Constraint, answer: EngineAnswer
) -> list[float]:
    """Return the margin at each token, from one plain pass per token."""
    margins, path = [], (*answer.token_ids, constraint.eos_id)
    for place, token in enumerate(path):
        ids = torch.tensor([[*answer.prompt, *path[:place]]])
        with torch.inference_mode():
            logits = model(ids, use_cache=False).logits[0, -1]
        best = max(logits[i].item() for i in constraint.allowed(path[:place]))
        margins.append(best - logits[token].item())
    return margins


def test_a_wrong_token(
    answers: list[EngineAnswer], judged: Judge, model: PreTrainedModel, constraint: Constraint
) -> None:
    """One allowed token that is not the likeliest is found at its place, with its margin."""
    ids = answers[1].token_ids
    place = next(i for i in range(8, len(ids)) if len(constraint.allowed(ids[:i])) > 50)
    other = min(constraint.allowed(ids[:place]) - {ids[place]})
    # What follows is decoded again: only this token is wrong.
    rest = _after(model, constraint, answers[1].prompt, (*ids[:place], other))
    wrong = replace(answers[1], token_ids=rest)
    certificate = judged([answers[0], wrong])
    (violation,) = certificate.violations
    assert (violation.answer, violation.place, violation.rule) == (1, place, "margin")
    assert (violation.chosen, violation.best) == (other, ids[place])
    margins = _naive_margins(model, constraint, wrong)
    assert violation.margin == pytest.approx(margins[place], abs=1e-3)
    assert max(margins[:place] + margins[place + 1 :]) < violation.floor < margins[place]


def _after(
    model: PreTrainedModel, constraint: Constraint, prompt: TokenIds, path: TokenIds
) -> TokenIds:
    """Continue an answer greedily, one plain pass per token."""
    while True:
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *path]]), use_cache=False).logits[0, -1]
        token = max(constraint.allowed(path), key=lambda i: logits[i].item())
        if token == constraint.eos_id:
            return path
        path = (*path, token)


def test_a_constraint_off_by_one(
    questions: Questions, model: PreTrainedModel, judged: Judge
) -> None:
    """An engine whose expression has a box less ends each answer where no end is allowed."""
    shorter = _decoded(questions, model, questions.prompt_ids, answer_expression(BOXES - 1))
    certificate = judged(shorter)
    broken = [one.answer for one in certificate.violations if one.rule == "constraint"]
    assert broken == list(range(STATES))


def test_a_constraint_that_was_ignored(answers: list[EngineAnswer], judged: Judge) -> None:
    """Tokens that the constraint forbids are found at the first one, the rest is not judged."""
    (violation,) = judged([replace(answers[0], token_ids=(5, 5, 5))]).violations
    assert (violation.place, violation.rule, violation.chosen) == (0, "constraint", 5)


def test_another_model(questions: Questions, judged: Judge) -> None:
    """Another control with the same tokenizer chooses tokens that the reference does not."""
    other = _decoded(questions, _model("copy-a"), questions.prompt_ids)
    certificate = judged(other)
    assert {violation.rule for violation in certificate.violations} == {"margin"}


def test_a_quantized_model(questions: Questions, model: PreTrainedModel, judged: Judge) -> None:
    """Weights in 4 bits, one scale per row, choose other tokens in some answers."""
    quantized = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in quantized.named_parameters():
            if "proj" in name:
                scale = weight.abs().amax(-1, keepdim=True) / 7
                weight.copy_((weight / scale).round() * scale)
    certificate = judged(_decoded(questions, quantized, questions.prompt_ids))
    assert {violation.rule for violation in certificate.violations} == {"margin"}


def test_a_lost_bos(questions: Questions, model: PreTrainedModel, judged: Judge) -> None:
    """An engine that drops the first id of each prompt answers other prompts."""
    lost = _decoded(questions, model, [ids[1:] for ids in questions.prompt_ids])
    certificate = judged(lost)
    assert {violation.rule for violation in certificate.violations} == {"margin"}


def test_an_answer_that_ends_early(answers: list[EngineAnswer], judged: Judge) -> None:
    """An answer without an end is right at the token limit and wrong before it."""
    cut = replace(answers[0], token_ids=answers[0].token_ids[:10], finished=False)
    assert judged([cut], max_new_tokens=10).certified
    (violation,) = judged([cut]).violations
    assert (violation.place, violation.rule, violation.margin) == (10, "end", None)


@pytest.mark.parametrize("constrained", [True, False])
def test_an_answer_that_goes_on_after_its_end(
    answers: list[EngineAnswer], judged: Judge, constraint: Constraint, *, constrained: bool
) -> None:
    """Ends up to the limit, or text after an end, are no answer, with a constraint or without."""
    end, own = constraint.eos_id, answers[0].token_ids
    changes = {} if constrained else {"constraint": None}
    for more, finished, chosen in (
        ((end,) * 3, False, end),
        ((end,), True, end),
        ((end, own[0]), True, own[0]),
        ((end,), False, None),
    ):
        padded = replace(answers[0], token_ids=(*own, *more), finished=finished)
        (violation,) = judged([padded], max_new_tokens=len(own) + len(more), **changes).violations
        assert (violation.place, violation.rule) == (len(own) + 1, "after end")
        assert (violation.chosen, violation.best) == (chosen, end)


def test_an_answer_over_the_limit(answers: list[EngineAnswer], judged: Judge) -> None:
    """A server that ignores the limit is found out, whether it ended the answer or not."""
    for finished in (True, False):
        (violation,) = judged(
            [replace(answers[0], finished=finished)], max_new_tokens=10
        ).violations
        assert (violation.place, violation.rule) == (10, "limit")
        assert violation.chosen == answers[0].token_ids[10]


def test_without_a_constraint(questions: Questions, model: PreTrainedModel, judged: Judge) -> None:
    """Unconstrained answers are the likeliest tokens of all, and any of the ends is an end."""
    request = RunRequest(str(MODELS / "track"), NOT_WRITTEN, device="cpu", engine="unconstrained")
    decoder = Decoder(resolve(request), TASK.expression, questions.tokenizer, model)
    free: list[Completion] = decoder.completions(questions.prompt_ids, {})
    answers = [
        EngineAnswer(ids, completion.token_ids, completion.finished)
        for ids, completion in zip(questions.prompt_ids, free, strict=True)
    ]
    end = questions.tokenizer.eos_id
    assert judged(answers, constraint=None, ends=(end,)).certified
    wrong = replace(answers[0], token_ids=(*answers[0].token_ids[:5], 7, 7))
    violations = judged([wrong], constraint=None, ends=(end, 3)).violations
    assert (violations[0].place, violations[0].rule) == (5, "margin")


def test_an_id_that_the_model_does_not_have(answers: list[EngineAnswer], judged: Judge) -> None:
    """It breaks the constraint; it does not end in an error of the embedding."""
    wrong = replace(answers[0], token_ids=(*answers[0].token_ids[:3], 10**6))
    (violation,) = judged([wrong]).violations
    assert (violation.place, violation.rule, violation.chosen) == (3, "constraint", 10**6)


def test_floor() -> None:
    """The coarser dtype counts, and each of two logits may be off by the tolerance."""
    assert margin_floor(torch.float32, torch.float32) == 2e-3
    assert margin_floor(torch.float32, torch.bfloat16) == margin_floor(torch.bfloat16) == 0.4
