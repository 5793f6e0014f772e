"""The paper's engine on tiny random models, against a loop that does all of it the slow way."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import count
from typing import Any

import pytest
import regex
import torch
from transformers import GenerationConfig, PreTrainedModel

from benchmark.boxes.answers import answer_expression
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import create_engine
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import Completion, TokenIds

ARCHITECTURES = ("llama", "gemma", "mistral", "qwen2")

ANSWER = answer_expression(2)
WORDS = r"( [a-z]{1,6}){0,3}\."
"""Short enough for a random model to finish."""
LETTERS = "[a-z]{0,12}"
"""A completion may end after any letter."""

LIMIT = 30

VOCABULARY = 352
"""Four more ids than the tokenizer has, as models round their size up."""

EOS = 1

TEXTS = (
    "Box",
    "Box 0 contains the bag and the map, Box 1 contains nothing.\nStatement:",
    "Move the car from Box 6 to Box 2.",
    "Description: Box 3 contains the coat. Put the paper into Box 3.</s>\n<s>Statement:",
    "a",
    "Box 0 contains the plane, Box 1 contains the cross, Box 2 contains the bag and the machine",
)


@pytest.fixture
def tokenizer(tiny_tokenizer: Callable[..., TransformersTokenizer]) -> TransformersTokenizer:
    """The tiny tokenizer; it has a chat template."""
    return tiny_tokenizer()


@pytest.fixture
def prompts(tokenizer: TransformersTokenizer) -> list[TokenIds]:
    """Prompts of 2 to 60 tokens, one with EOS and BOS within it."""
    return [(0, *tokenizer.encode(text)) for text in TEXTS]


@pytest.fixture
def create(tiny_model: Callable[..., PreTrainedModel]) -> Callable[[str], PreTrainedModel]:
    """The tiny model of an architecture, with the size and the EOS of these tests."""
    return lambda architecture: tiny_model(architecture, VOCABULARY, EOS)


def _engine_run(
    model: PreTrainedModel,
    tokenizer: TransformersTokenizer,
    prompts: Sequence[TokenIds],
    expression: str | None,
    batch_size: int = 1,
    max_new_tokens: int = LIMIT,
) -> list[Completion]:
    """All completions by the engine, in the order of the prompts."""
    name = "unconstrained" if expression is None else "outlines"
    limits = DecodingLimits(batch_size, max_new_tokens)
    engine = create_engine(name, model, tokenizer, limits, expression or "")
    found = [pair for batch in engine.generate(prompts) for pair in batch]
    assert [index for index, _ in found] == list(range(len(prompts)))
    return [completion for _, completion in found]


def _naive_run(
    model: PreTrainedModel, tokenizer: TransformersTokenizer, prompt: TokenIds, expression: str
) -> Completion:
    """One forward pass over everything for each token, masked by a regular expression library."""
    pattern = regex.compile(expression.encode())
    token_bytes = tokenizer.token_bytes
    ids: list[int] = []
    text = b""
    while len(ids) < LIMIT:
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, -1].tolist()
        fitting = [
            i for i, part in token_bytes.items() if pattern.fullmatch(text + part, partial=True)
        ]
        if pattern.fullmatch(text):
            fitting.append(EOS)
        best = max(fitting, key=logits.__getitem__)
        if best == EOS:
            return Completion(tuple(ids), text.decode(), finished=True)
        ids.append(best)
        text += token_bytes[best]
    return Completion(tuple(ids), text.decode(), finished=False)


class _Prefills:
    """The batches of prompts that a model is really run on."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Watch the model."""
        self.batches: list[list[TokenIds]] = []
        model.register_forward_pre_hook(self._look, with_kwargs=True)

    def _look(self, module: object, arguments: object, given: dict[str, Any]) -> None:
        if given["past_key_values"].get_seq_length():
            return
        ids = given["input_ids"]
        mask = given.get("attention_mask")  # left out where nothing is padded
        seen = torch.ones_like(ids) if mask is None else mask
        rows = zip(ids, seen.bool(), strict=True)
        self.batches.append([tuple(row[kept].tolist()) for row, kept in rows])


@pytest.mark.parametrize("expression", [ANSWER, WORDS, LETTERS])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.inference_mode()
def test_engine_equals_the_naive_loop(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    architecture: str,
    expression: str,
) -> None:
    """Token for token the same in float32, however prompts of different lengths are batched."""
    expected = [
        _naive_run(create(architecture), tokenizer, prompt, expression) for prompt in prompts
    ]
    for batch_size in (1, 2, 5):
        found = _engine_run(create(architecture), tokenizer, prompts, expression, batch_size)
        assert found == expected
    if expression != ANSWER:  # rows of a batch end at different times
        assert all(completion.finished for completion in expected)
        assert len({len(completion.token_ids) for completion in expected}) > 1


@pytest.mark.gpu
def test_gpu_gives_the_same_tokens(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """On a GPU in float32 every architecture gives the tokens that it gives on the CPU."""
    for architecture in ARCHITECTURES:
        for expression in (ANSWER, WORDS):
            on_cpu = _engine_run(create(architecture), tokenizer, prompts, expression, 2)
            model = create(architecture).to("cuda")
            assert _engine_run(model, tokenizer, prompts, expression, 2) == on_cpu


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_constraint_holds_in_every_dtype(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    dtype: torch.dtype,
) -> None:
    """Whatever the weights' dtype, a finished completion matches and a cut one is a beginning."""
    model = create("llama").to(dtype)
    for expression in (ANSWER, WORDS):
        for completion in _engine_run(model, tokenizer, prompts, expression, 3):
            assert regex.fullmatch(expression, completion.text, partial=not completion.finished)


def test_generation_config_of_the_model_changes_nothing(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """Sampling, beams, penalties and lengths of the model's own config are not looked at."""
    plain = {
        expression: _engine_run(create("llama"), tokenizer, prompts, expression)
        for expression in (ANSWER, None)
    }
    penalties = {
        "repetition_penalty": 5.0,
        "no_repeat_ngram_size": 2,
        "suppress_tokens": sorted({i for row in plain[ANSWER] for i in row.token_ids})[:9],
        "min_new_tokens": 20,
        "forced_eos_token_id": EOS,
        "max_length": 3,
    }
    for more in ({"do_sample": True, "temperature": 9.0, "top_k": 5}, {"num_beams": 3}):
        for expression, expected in plain.items():
            model = create("llama")
            model.generation_config = GenerationConfig(
                eos_token_id=EOS, pad_token_id=EOS, **penalties, **more
            )
            own = model.generate(torch.tensor([prompts[1]]), max_new_tokens=LIMIT)
            assert tuple(own[0, len(prompts[1]) :].tolist()) != plain[None][1].token_ids
            assert _engine_run(model, tokenizer, prompts, expression) == expected


@pytest.mark.parametrize("expression", [WORDS, None])
def test_prompts_are_run_as_they_are(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    expression: str | None,
) -> None:
    """The model sees exactly the prompts' ids: no chat template, no BOS, nothing tokenized anew."""
    assert tokenizer.raw.chat_template
    model = create("llama")
    prefills = _Prefills(model)
    _engine_run(model, tokenizer, prompts, expression, 4, max_new_tokens=3)
    assert prefills.batches == [prompts[:4], prompts[4:]]


def test_limit_cuts(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """At the limit a completion is cut and unfinished; what comes before is the same."""
    whole = _engine_run(create("llama"), tokenizer, prompts, WORDS)
    for limit in (1, 2, 4):
        cut = _engine_run(create("llama"), tokenizer, prompts, WORDS, 2, max_new_tokens=limit)
        for completion, full in zip(cut, whole, strict=True):
            assert completion.token_ids == full.token_ids[:limit]
            assert completion.finished == (len(full.token_ids) < limit)
            assert full.text.startswith(completion.text)


def test_end_needs_a_token_of_its_own(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """A completion is finished only when its EOS is within the limit too."""
    prompt = prompts[:1]
    (whole,) = _engine_run(create("llama"), tokenizer, prompt, WORDS)
    length = len(whole.token_ids)
    limits = (length, length + 1)
    cut, fits = (
        _engine_run(create("llama"), tokenizer, prompt, WORDS, max_new_tokens=limit)[0]
        for limit in limits
    )
    assert cut == Completion(whole.token_ids, whole.text, finished=False)
    assert fits == whole


@pytest.mark.parametrize(
    ("done", "run", "wanted"),
    [
        (set(), [(0, 1), (2, 3), (4,)], [[0, 1], [2, 3], [4]]),
        ({0, 1}, [(2, 3), (4,)], [[2, 3], [4]]),
        ({1, 2}, [(0, 1), (2, 3), (4,)], [[0], [3], [4]]),
        ({0, 1, 2, 4}, [(2, 3)], [[3]]),
        ({0, 1, 2, 3, 4}, [], []),
        ({7}, [(0, 1), (2, 3), (4,)], [[0, 1], [2, 3], [4]]),
    ],
)
def test_done_prompts(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    done: AbstractSet[int],
    run: list[tuple[int, ...]],
    wanted: list[list[int]],
) -> None:
    """Batches that are done are not run; others are run whole, and give what is not done."""
    prompts = prompts[:5]
    expected = _engine_run(create("llama"), tokenizer, prompts, WORDS, 2)
    model = create("llama")
    prefills = _Prefills(model)
    engine = create_engine("outlines", model, tokenizer, DecodingLimits(2, LIMIT), WORDS)
    batches = list(engine.generate(prompts, done))
    assert prefills.batches == [[prompts[i] for i in batch] for batch in run]
    assert batches == [[(i, expected[i]) for i in batch] for batch in wanted]


def test_no_prompts(
    create: Callable[[str], PreTrainedModel], tokenizer: TransformersTokenizer
) -> None:
    """Nothing is made of nothing."""
    assert _engine_run(create("llama"), tokenizer, [], WORDS) == []


def test_completions_come_batch_by_batch(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """A batch is handed over before the next is run, so that it can be stored."""
    model = create("llama")
    prefills = _Prefills(model)
    engine = create_engine("outlines", model, tokenizer, DecodingLimits(2, LIMIT), WORDS)
    for batch, ready in zip(engine.generate(prompts), count(1)):
        assert len(batch) == 2
        assert len(prefills.batches) == ready


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_unconstrained_engine_equals_plain_generate(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    architecture: str,
) -> None:
    """Without the constraint it is transformers' own greedy decoding, one prompt at a time."""
    model = create(architecture)
    expected = []
    for prompt in prompts:
        ids = model.generate(torch.tensor([prompt]), max_new_tokens=LIMIT, do_sample=False)
        new = tuple(ids[0, len(prompt) :].tolist())
        expected.append(new[: new.index(EOS)] if EOS in new else new)
    for batch_size in (1, 2, 5):
        found = _engine_run(create(architecture), tokenizer, prompts, None, batch_size)
        assert [completion.token_ids for completion in found] == expected


def test_every_stop_id_of_the_model_ends_a_completion(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """A model may name more ids that end a sequence; they are not part of the completion."""
    (whole,) = _engine_run(create("llama"), tokenizer, prompts[:1], None)
    assert not whole.finished
    stop = whole.token_ids[5]
    model = create("llama")
    model.generation_config.eos_token_id = [EOS, stop]
    stopped, *others = _engine_run(model, tokenizer, prompts, None, 3)
    assert stopped.token_ids == whole.token_ids[: whole.token_ids.index(stop)]
    assert stopped.finished
    assert all(stop not in completion.token_ids for completion in others)


def test_text_is_what_the_tokens_spell(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """The text is the tokens' bytes; ids without text give none, half characters a mark."""
    for completion in _engine_run(create("gemma"), tokenizer, prompts, None, 2):
        spelled = b"".join(tokenizer.token_bytes.get(i, b"") for i in completion.token_ids)
        assert completion.text == spelled.decode(errors="replace")
        assert completion.text == tokenizer.raw.decode(
            [i for i in completion.token_ids if i in tokenizer.token_bytes]
        )
