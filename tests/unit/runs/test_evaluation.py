"""The evaluation core: states to prompts, answers and outcomes, in any order and batch size."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from benchmark.errors import ModelError, SettingError
from benchmark.models.loading import load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.prompts.rendering import prompt
from benchmark.records import State
from benchmark.runs import evaluation
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Batching, Decoder, Questions, correct_answer, evaluate
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, JudgedAnswer, task_named

MODEL = Path(__file__).parents[3] / "fixtures" / "models" / "copy-a"
TASK = task_named(DEFAULT)
STATES = 5

Ask = Callable[..., Questions]


@pytest.fixture(scope="module")
def states() -> list[State]:
    """The first states of the evaluated set of seed 0."""
    return load_states(DataRequest(states=STATES))


@pytest.fixture(scope="module")
def tokenizer() -> TransformersTokenizer:
    """The tokenizer of the control models."""
    return load_tokenizer(locate(str(MODEL)))


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    """A control model that repeats the initial state."""
    request = RunRequest(str(MODEL), Path("unused"), device="cpu")
    return load_model(locate(str(MODEL)), resolve(request).options)


@pytest.fixture
def ask(states: list[State], tokenizer: TransformersTokenizer) -> Ask:
    """``ask(engine=...)``: the prompts of a run with these settings."""

    def questions(**settings: object) -> Questions:
        request = RunRequest(str(MODEL), Path("unused"), device="cpu", **settings)  # type: ignore[arg-type]
        return Questions(TASK, resolve(request), tokenizer, states)

    return questions


def test_questions(ask: Ask, states: list[State], tokenizer: TransformersTokenizer) -> None:
    """Each state has its prompt and its correct answer."""
    questions = ask()
    for state, ids, answer in zip(states, questions.prompt_ids, questions.correct, strict=True):
        assert ids == prompt(tokenizer, state.description, questions.settings.prompt).token_ids
        assert answer == correct_answer(TASK, tokenizer, state) == questions.drafts[ids]
        text = TASK.correct_text(state)
        assert tokenizer.encode(text) == answer
        judged = TASK.judge(state, text)
        assert all(all(outcome.correct) for outcome in judged.outcomes.values())


def test_token_limit_that_cuts_answers(ask: Ask) -> None:
    """The longest answer must fit with its end, unless the protocol allows cuts."""
    longest = max(map(len, ask().correct))
    ask(max_new_tokens=longest + 1).check_limit()
    with pytest.raises(SettingError, match=f"would cut correct answers.* up to {longest + 1} tok"):
        ask(max_new_tokens=longest).check_limit()
    ask(max_new_tokens=longest, protocol="paper").check_limit()


@pytest.mark.parametrize("engine", ["speculative", "outlines"])
def test_order_batches_and_skipped_prompts(ask: Ask, model: PreTrainedModel, engine: str) -> None:
    """Answers keep the index of their prompt in any order, and finished prompts are skipped."""
    questions = ask(engine=engine, batch_size=2)
    decoder = Decoder(questions.settings, TASK.expression, questions.tokenizer, model)
    in_order = decoder.completions(questions.prompt_ids, questions.drafts)
    assert decoder.batching.sizes == (2,)
    sizes: list[int] = []
    reordered = decoder.completions(questions.prompt_ids, {}, [4, 0, 3, 1, 2], sizes.append)
    assert [one.text for one in reordered] == [other.text for other in in_order]
    assert sum(sizes) == STATES
    missing = [
        index
        for batch in decoder.decode(questions.prompt_ids, {}, done={0, 3}, order=[4, 3, 2, 1, 0])
        for index, _ in batch
    ]
    assert sorted(missing) == [1, 2, 4]


def test_every_answer_is_judged_once(
    ask: Ask, model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluation parses each answer exactly once."""
    questions, judged = ask(), list[str]()
    judge = type(TASK).judge

    def counted(self: object, state: State, text: str) -> JudgedAnswer:
        judged.append(text)
        return judge(TASK, state, text)

    monkeypatch.setattr(type(TASK), "judge", counted)
    answers = dict(pair for batch in evaluate(questions, model) for pair in batch)
    assert sorted(answers) == list(range(STATES))
    assert sorted(judged) == sorted(answer.text for answer in answers.values())
    for index, answer in answers.items():
        judged_again = judge(TASK, questions.states[index], answer.text)
        assert answer == replace(judged_again, completion=answer.completion)
        assert answer.completion is not None
        assert answer.completion.text == answer.text


def test_prompts_that_do_not_fit(ask: Ask, model: PreTrainedModel) -> None:
    """Prompts that do not fit are refused before decoding."""
    with pytest.raises(ModelError, match="positions"):
        evaluate(ask(max_new_tokens=100_000), model)


def test_halved_batch_size_is_reported(
    ask: Ask, model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When memory runs out the batch size is halved and reported."""
    create, seen = vars(evaluation)["create_engine"], list[int]()

    def scarce(
        name: str, model: object, tokenizer: object, limits: object, *more: object, **named: object
    ) -> object:
        size = limits.batch_size  # type: ignore[attr-defined]
        seen.append(size)
        if size > 2:
            raise MemoryError
        return create(name, model, tokenizer, limits, *more, **named)

    monkeypatch.setattr(evaluation, "create_engine", scarce)
    answered = evaluate(ask(engine="outlines", batch_size=4), model)
    assert answered.batching == Batching()
    assert answered.batching.as_json() == {}
    answers = [index for batch in answered for index, _ in batch]
    assert answers == list(range(STATES))
    assert tuple(seen) == answered.batching.sizes == (4, 2)
    assert replace(answered.batching, composition={}).as_json() == {
        "sizes": [4, 2],
        "composition": {},
    }
