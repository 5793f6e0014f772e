"""The paper's engine on tiny random models, compared with a naive loop."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import count
from typing import Any

import pytest
import regex
import torch
from transformers import GenerationConfig, PreTrainedModel

from benchmark.boxes.answers import answer_expression
from benchmark.controls.network import cache_argument
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import create_engine
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import Completion, TokenIds
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

ARCHITECTURES = ("llama", "gemma", "mistral", "qwen2")

ANSWER = answer_expression(2)
WORDS = r"( [a-z]{1,6}){0,3}\."
"""Short enough for a random model to finish."""
LETTERS = "[a-z]{0,12}"
"""A completion may end after any letter."""

LIMIT = 30

VOCABULARY = 352
"""Four more ids than the tokenizer has, as models round up their vocabulary size."""

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
def tokenizer() -> TransformersTokenizer:
    """The tiny tokenizer; it has a chat template."""
    return tiny_tokenizer()


@pytest.fixture
def prompts(tokenizer: TransformersTokenizer) -> list[TokenIds]:
    """Prompts of 2 to 60 tokens, one with EOS and BOS within it."""
    return [(0, *tokenizer.encode(text)) for text in TEXTS]


@pytest.fixture
def create() -> Callable[[str], PreTrainedModel]:
    """Return a function that creates a tiny model for these tests."""
    return lambda architecture: tiny_model(architecture, VOCABULARY, EOS)


def _engine_run(
    model: PreTrainedModel,
    tokenizer: TransformersTokenizer,
    prompts: Sequence[TokenIds],
    expression: str | None,
    batch_size: int = 1,
    max_new_tokens: int = LIMIT,
) -> list[Completion]:
    """Return all completions, in the order of the prompts."""
    name = "unconstrained" if expression is None else "outlines"
    limits = DecodingLimits(batch_size, max_new_tokens)
    engine = create_engine(name, model, tokenizer, limits, expression or "")
    pairs = [pair for batch in engine.generate(prompts) for pair in batch]
    assert [index for index, _ in pairs] == list(range(len(prompts)))
    return [completion for _, completion in pairs]


def _naive_run(
    model: PreTrainedModel, tokenizer: TransformersTokenizer, prompt: TokenIds, expression: str
) -> Completion:
    """Decode with one full forward pass per token, masked by a regular expression library."""
    pattern = regex.compile(expression.encode())
    token_bytes = tokenizer.token_bytes
    ids: list[int] = []
    text = b""
    while len(ids) < LIMIT:
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, -1].tolist()
        allowed = [
            i for i, part in token_bytes.items() if pattern.fullmatch(text + part, partial=True)
        ]
        if pattern.fullmatch(text):
            allowed.append(EOS)
        best = max(allowed, key=logits.__getitem__)
        if best == EOS:
            return Completion(tuple(ids), text.decode(), finished=True)
        ids.append(best)
        text += token_bytes[best]
    return Completion(tuple(ids), text.decode(), finished=False)


class _Prefills:
    """Records the batches of prompts that a model is run on."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Hook into the model."""
        self.batches: list[list[TokenIds]] = []
        model.register_forward_pre_hook(self._record, with_kwargs=True)

    def _record(self, module: torch.nn.Module, positional: object, named: dict[str, Any]) -> None:
        if named[cache_argument(module)].get_seq_length():
            return
        ids = named["input_ids"]
        mask = named.get("attention_mask")  # absent without padding
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
    """In float32 tokens are the same for any batch size, with prompts of different lengths."""
    expected = [
        _naive_run(create(architecture), tokenizer, prompt, expression) for prompt in prompts
    ]
    for batch_size in (1, 2, 5):
        completions = _engine_run(create(architecture), tokenizer, prompts, expression, batch_size)
        assert completions == expected
    if expression != ANSWER:  # rows of a batch end at different times
        assert all(completion.finished for completion in expected)
        assert len({len(completion.token_ids) for completion in expected}) > 1


@pytest.mark.gpu
def test_gpu_gives_the_same_tokens(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """On a GPU in float32 every architecture has the tokens that it has on the CPU."""
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
    """In every dtype a finished completion matches, and a cut one is a prefix of a match."""
    model = create("llama").to(dtype)
    for expression in (ANSWER, WORDS):
        for completion in _engine_run(model, tokenizer, prompts, expression, 3):
            assert regex.fullmatch(expression, completion.text, partial=not completion.finished)


def test_generation_config_of_the_model_changes_nothing(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """Sampling, beams, penalties and lengths of the model's own config are ignored."""
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
def test_prompt_ids_are_unchanged(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    expression: str | None,
) -> None:
    """The model gets exactly the prompts' ids: no chat template, no BOS, no retokenization."""
    assert tokenizer.raw.chat_template
    model = create("llama")
    _engine_run(model, tokenizer, prompts[:1], expression, 4, max_new_tokens=1)  # tries padding
    prefills = _Prefills(model)
    _engine_run(model, tokenizer, prompts, expression, 4, max_new_tokens=3)
    assert prefills.batches == [prompts[:4], prompts[4:]]


def test_limit_cuts(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """At the limit a completion is cut and unfinished; its tokens are the same."""
    complete = _engine_run(create("llama"), tokenizer, prompts, WORDS)
    for limit in (1, 2, 4):
        cut = _engine_run(create("llama"), tokenizer, prompts, WORDS, 2, max_new_tokens=limit)
        for completion, full in zip(cut, complete, strict=True):
            assert completion.token_ids == full.token_ids[:limit]
            assert completion.finished == (len(full.token_ids) < limit)
            assert full.text.startswith(completion.text)


def test_end_token_counts_towards_the_limit(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """A completion is finished only if its EOS is within the limit."""
    prompt = prompts[:1]
    (complete,) = _engine_run(create("llama"), tokenizer, prompt, WORDS)
    length = len(complete.token_ids)
    limits = (length, length + 1)
    cut, fits = (
        _engine_run(create("llama"), tokenizer, prompt, WORDS, max_new_tokens=limit)[0]
        for limit in limits
    )
    assert cut == Completion(complete.token_ids, complete.text, finished=False)
    assert fits == complete


@pytest.mark.parametrize(
    ("done", "run", "yielded"),
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
    yielded: list[list[int]],
) -> None:
    """Finished batches are skipped; others are run in full and yield only unfinished prompts."""
    prompts = prompts[:5]
    expected = _engine_run(create("llama"), tokenizer, prompts, WORDS, 2)
    model = create("llama")
    engine = create_engine("outlines", model, tokenizer, DecodingLimits(2, LIMIT), WORDS)
    prefills = _Prefills(model)
    batches = list(engine.generate(prompts, done))
    assert prefills.batches == [[prompts[i] for i in batch] for batch in run]
    assert batches == [[(i, expected[i]) for i in batch] for batch in yielded]


def test_no_prompts(
    create: Callable[[str], PreTrainedModel], tokenizer: TransformersTokenizer
) -> None:
    """Without prompts there are no completions."""
    assert _engine_run(create("llama"), tokenizer, [], WORDS) == []


def test_completions_come_batch_by_batch(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """A batch is yielded before the next is run, so that it can be stored."""
    model = create("llama")
    engine = create_engine("outlines", model, tokenizer, DecodingLimits(2, LIMIT), WORDS)
    prefills = _Prefills(model)
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
        completions = _engine_run(create(architecture), tokenizer, prompts, None, batch_size)
        assert [completion.token_ids for completion in completions] == expected


def test_every_stop_id_of_the_model_ends_a_completion(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """Other ids that the model's config names end a completion and are not part of it."""
    (complete,) = _engine_run(create("llama"), tokenizer, prompts[:1], None)
    assert not complete.finished
    stop = complete.token_ids[5]
    model = create("llama")
    model.generation_config.eos_token_id = [EOS, stop]
    stopped, *others = _engine_run(model, tokenizer, prompts, None, 3)
    assert stopped.token_ids == complete.token_ids[: complete.token_ids.index(stop)]
    assert stopped.finished
    assert all(stop not in completion.token_ids for completion in others)


def test_text_is_decoded_from_token_bytes(
    create: Callable[[str], PreTrainedModel],
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
) -> None:
    """Ids without text are skipped, and incomplete characters are replaced."""
    for completion in _engine_run(create("gemma"), tokenizer, prompts, None, 2):
        spelled = b"".join(tokenizer.token_bytes.get(i, b"") for i in completion.token_ids)
        assert completion.text == spelled.decode(errors="replace")
        assert completion.text == tokenizer.raw.decode(
            [i for i in completion.token_ids if i in tokenizer.token_bytes]
        )
