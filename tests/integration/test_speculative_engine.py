"""The speculative engine on tiny random models has the tokens of the paper's engine."""

import gc
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import pytest
import torch
from transformers import CohereConfig, CohereForCausalLM, PreTrainedModel

from benchmark.boxes.answers import answer_expression
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import create_engine
from benchmark.decoding.oom_retry import OomRetry
from benchmark.decoding.outlines_engine import OutlinesEngine
from benchmark.decoding.speculative import attention_plans, compatibility, model_runner
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.engine import SpeculativeEngine
from benchmark.decoding.speculative.model_runner import ModelRunner
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import Completion, TokenIds
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

ARCHITECTURES = ("llama", "gemma", "gemma2", "mistral", "qwen2")

ANSWER = answer_expression(2)
"""Random models rarely end it: answers reach the limit."""
WORDS = r"( [a-z]{1,6}){0,3}\."
LETTERS = "[a-z]{0,12}"
"""A completion may end after any letter, or be empty."""
REPEATED = "(the bag|the map)( and the (bag|map)){2}, Box 3 contains (nothing|the bag)?"
"""Long forced text whose tokenization is not forced."""

EXPRESSIONS = {"answer": ANSWER, "words": WORDS, "letters": LETTERS, "repeated": REPEATED}

LIMIT = 30
VOCABULARY = 352
EOS = 1

DESCRIPTION = "Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the car."
OPERATIONS = (
    " Move the bag from Box 0 to Box 1.",
    " Remove the car from Box 2.",
    " Put the paper into Box 2.",
)
SIBLINGS = tuple(
    f"Write a statement.\n\nDescription: {DESCRIPTION}{''.join(OPERATIONS[:n])}\nStatement:"
    for n in range(4)
)
TEXTS = (
    *SIBLINGS,
    SIBLINGS[1],
    "Write a statement.\n\nDescription: Box 0 contains the coat.\nStatement:",
    "Write",
)

Answers = Mapping[TokenIds, TokenIds]


@pytest.fixture
def tokenizer() -> TransformersTokenizer:
    """The tiny tokenizer."""
    return tiny_tokenizer()


@pytest.fixture
def prompts(tokenizer: TransformersTokenizer) -> list[TokenIds]:
    """Descriptions that are prefixes of each other, one of them twice, and two others."""
    return [(0, *tokenizer.encode(text)) for text in TEXTS]


@pytest.fixture
def create() -> Callable[..., PreTrainedModel]:
    """Return a function that creates a tiny model for these tests."""
    return lambda architecture, seed=0: tiny_model(architecture, VOCABULARY, EOS, seed)


def _run(
    name: str,
    model: PreTrainedModel,
    tokenizer: TransformersTokenizer,
    prompts: Sequence[TokenIds],
    expression: str,
    batch_size: int = 1,
    limit: int = LIMIT,
    answers: Answers | None = None,
    done: AbstractSet[int] = frozenset(),
) -> dict[int, Completion]:
    """Return all completions by index; check that each was yielded once."""
    limits = DecodingLimits(batch_size, limit)
    engine = create_engine(name, model, tokenizer, limits, expression, answers)
    assert isinstance(engine, SpeculativeEngine if name == "speculative" else OutlinesEngine)
    completions = [pair for batch in engine.generate(prompts, done) for pair in batch]
    assert len(completions) == len(dict(completions))
    return dict(completions)


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_speculative_engine_equals_the_papers(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    architecture: str,
    expression: str,
) -> None:
    """In float32 tokens are the same for any batch size and any expected answers."""
    paper = _run("outlines", create(architecture), tokenizer, prompts, expression)
    true = {prompt: paper[i].token_ids for i, prompt in enumerate(prompts)}
    wrong = {prompt: answer[::-1] for prompt, answer in true.items()}
    halfway = {prompt: answer[: len(answer) // 2] for prompt, answer in true.items()}
    for batch_size, answers in ((1, None), (1, true), (2, wrong), (3, halfway), (8, true)):
        completions = _run(
            "speculative",
            create(architecture),
            tokenizer,
            prompts,
            expression,
            batch_size,
            answers=answers,
        )
        assert completions == paper


def test_models_differ(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """Prompts, models and seeds all change the tokens, so the comparisons can fail."""
    answers = [
        _run("speculative", create(architecture, seed), tokenizer, prompts, ANSWER)
        for architecture in ARCHITECTURES
        for seed in (0, 1)
    ]
    assert all(len({c.token_ids for c in answer.values()}) > 2 for answer in answers)
    assert all(one != other for i, one in enumerate(answers) for other in answers[:i])


def test_limit_cuts_as_the_papers_does(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """At any limit the same completions are finished, and others are cut at the same token."""
    for limit in (1, 2, 3, 5, 8):
        for expression in (WORDS, LETTERS, REPEATED):
            paper = _run("outlines", create("llama"), tokenizer, prompts, expression, 1, limit)
            completions = _run(
                "speculative", create("llama"), tokenizer, prompts, expression, 3, limit
            )
            assert completions == paper


def test_more_stop_ids(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """Another id that the model's config names ends a completion and is not part of it."""
    complete = _run("outlines", create("llama"), tokenizer, prompts, ANSWER)
    stop = complete[0].token_ids[-5]
    results = []
    for name in ("outlines", "speculative"):
        model = create("llama")
        model.generation_config.eos_token_id = [EOS, stop]
        # One at a time: outlines rejects the padding of rows that end early.
        size = 1 if name == "outlines" else 3
        results.append(_run(name, model, tokenizer, prompts, ANSWER, size))
    assert results[0] == results[1]
    assert results[1][0].finished
    assert stop not in results[1][0].token_ids


def test_done_prompts_are_left_out(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """Prompts that are done are not decoded, and the others have the same tokens."""
    full = _run("speculative", create("llama"), tokenizer, prompts, WORDS, 3)
    done = {0, 2, 5, 99}
    rest = _run("speculative", create("llama"), tokenizer, prompts, WORDS, 3, done=done)
    assert rest == {i: completion for i, completion in full.items() if i not in done}
    everything = set(range(len(prompts)))
    assert not _run("speculative", create("llama"), tokenizer, prompts, WORDS, done=everything)


def test_model_is_restored(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """After completions the model computes as before, with the same weights."""
    model = create("qwen2")
    ids = torch.tensor(prompts[:1])
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    with torch.inference_mode():
        before = model(ids).logits
    engine = create_engine("speculative", model, tokenizer, DecodingLimits(2, LIMIT), WORDS)
    for _ in engine.generate(prompts):
        assert torch.is_grad_enabled()
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, before)
    after = dict(model.named_parameters())
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[name], weight) for name, weight in weights.items())


@pytest.mark.usefixtures("unfrozen")
def test_an_abandoned_engine_is_collected(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Objects are frozen in passes only, so that a cycle with completions can be collected."""
    model, frozen = create("qwen2"), list[int]()
    own = ModelRunner.run

    def run(runner: ModelRunner, batch: Batch) -> list[int]:
        frozen.append(gc.get_freeze_count())
        return own(runner, batch)

    monkeypatch.setattr(ModelRunner, "run", run)
    engine = create_engine("speculative", model, tokenizer, DecodingLimits(2, LIMIT), WORDS)
    completions = engine.generate(prompts)
    next(completions)
    assert frozen
    assert all(frozen)
    assert not gc.get_freeze_count()
    assert model.config._attn_implementation == "ragged"
    cycle: list[object] = [completions]
    cycle.append(cycle)
    del completions, cycle
    gc.collect()
    assert model.config._attn_implementation != "ragged"


@pytest.mark.parametrize("survived", [0, 3, 9])
def test_running_out_of_memory_changes_no_token(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    monkeypatch: pytest.MonkeyPatch,
    survived: int,
) -> None:
    """After some passes a layer runs out of memory: the batch is halved, the model restored."""
    paper = _run("outlines", create("llama"), tokenizer, prompts, WORDS)
    model = create("llama")
    kinds = [type(module) for module in model.modules()]
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    attention = model.config._attn_implementation  # there is no public getter
    passes = _fail_once(model, monkeypatch, survived)
    engine = OomRetry(
        lambda limits: create_engine("speculative", model, tokenizer, limits, WORDS),
        DecodingLimits(4, LIMIT),
    )
    completions = [pair for batch in engine.generate(prompts) for pair in batch]
    assert passes[0] > survived
    assert engine.batch_sizes == [4, 2]
    assert len(completions) == len(dict(completions))
    assert dict(completions) == paper
    assert [type(module) for module in model.modules()] == kinds
    assert model.config._attn_implementation == attention
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in weights.items())
    assert _run("outlines", model, tokenizer, prompts, WORDS) == paper


def test_slots_that_do_not_fit_halve_the_batch(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a CPU the system would end the process when the memory is written to."""
    paper = _run("outlines", create("llama"), tokenizer, prompts, WORDS)
    needed: list[int] = []
    original = RaggedCache.bytes_of_slots

    def bytes_of_slots(cache: RaggedCache) -> int:
        needed.append(original(cache))
        return needed[-1]

    monkeypatch.setattr(RaggedCache, "bytes_of_slots", bytes_of_slots)
    # With a prompt that shares nothing there is no prefix, whose keys say how large the slots are.
    related = list(range(len(SIBLINGS)))
    for batch_size, sizes in ((4, [4]), (2, [4, 2]), (1, [4, 2, 1])):
        room = needed[0] // 4 * batch_size if needed else 10**12
        monkeypatch.setattr(model_runner, "free_memory", lambda room=room: room)
        engine = OomRetry(
            lambda limits: create_engine("speculative", create("llama"), tokenizer, limits, WORDS),
            DecodingLimits(4, LIMIT),
        )
        batches = engine.generate([prompts[i] for i in related])
        completions = dict(pair for batch in batches for pair in batch)
        assert engine.batch_sizes == sizes
        assert completions == {i: paper[i] for i in related}
    assert needed[0] > 0
    assert needed[1:3] == [needed[0], needed[0] // 2]


def _fail_once(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, survived: int) -> list[int]:
    """Let the model's last layer run out of memory in one pass; return the count of passes."""
    passes, armed, original = [0], [False], ModelRunner.run

    def run(runner: ModelRunner, batch: Batch) -> list[int]:
        armed[0] = passes[0] == survived
        passes[0] += 1
        return original(runner, batch)

    def fail(*_: object) -> None:
        if armed[0]:
            armed[0] = False
            raise torch.OutOfMemoryError

    monkeypatch.setattr(ModelRunner, "run", run)
    model.get_decoder().layers[-1].register_forward_pre_hook(fail)
    return passes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unsupported_model_falls_back(tokenizer: TransformersTokenizer, dtype: torch.dtype) -> None:
    """A model that scales its logits, which packed passes do not, runs on the paper's engine."""
    config = CohereConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        eos_token_id=EOS,
        bos_token_id=0,
        pad_token_id=0,
    )
    lines: list[str] = []
    model = CohereForCausalLM(config).eval().to(dtype)
    engine = create_engine(
        "speculative", model, tokenizer, DecodingLimits(1, 1), WORDS, say=lines.append
    )
    assert isinstance(engine, OutlinesEngine)
    assert "engine outlines is used instead of speculative" in lines[0]
    assert "standard deviations off" in lines[0]
    assert engine.composition["engine"] == "outlines"
    assert str(engine.composition["because"]) in lines[0]


def test_failing_trial_falls_back(
    create: Callable[..., PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers that fail in packed passes are a reason to fall back; lack of memory is not."""
    model = create("llama")

    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("shape mismatch: value tensor")

    def full(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(compatibility, "_packed_logits", broken)
    assert "do not take packed passes: shape mismatch" in str(
        compatibility.unsupported_reason(model)
    )
    monkeypatch.setattr(compatibility, "_packed_logits", full)
    with pytest.raises(torch.OutOfMemoryError):
        compatibility.unsupported_reason(model)
    monkeypatch.undo()
    assert compatibility.unsupported_reason(model) is None
    assert "no tolerance for logits in float64" in str(
        compatibility.unsupported_reason(create("llama").double())
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("window", [8, 100, 400])
def test_trial_reaches_beyond_the_window(
    create: Callable[..., PreTrainedModel],
    monkeypatch: pytest.MonkeyPatch,
    window: int,
    dtype: torch.dtype,
) -> None:
    """Passes without the sliding window are detected for any window length and dtype."""
    model = create("mistral").to(dtype)
    model.config.sliding_window = window
    for layer in model.get_decoder().layers:
        layer.self_attn.sliding_window = window
    assert compatibility.unsupported_reason(model) is None
    visible = attention_plans.visible
    monkeypatch.setattr(
        attention_plans, "visible", lambda positions, length, _: visible(positions, length, None)
    )
    assert "standard deviations off" in str(compatibility.unsupported_reason(model))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_constraint_holds_in_every_dtype(
    create: Callable[..., PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    dtype: torch.dtype,
) -> None:
    """In every dtype a finished completion matches, and a cut one is a prefix of a match."""
    import regex

    for architecture in ARCHITECTURES:
        model = create(architecture).to(dtype)
        for completion in _run("speculative", model, tokenizer, prompts, WORDS, 3).values():
            assert regex.fullmatch(WORDS, completion.text, partial=not completion.finished)
