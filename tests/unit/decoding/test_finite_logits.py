"""Logits that are not finite end decoding, with the prompt and the token."""

from collections.abc import Callable, Sequence

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import create_engine
from benchmark.decoding.finite_logits import NonFiniteLogitsError, finite_rows, naming_states
from benchmark.decoding.log_probs import ForcedSequence
from benchmark.decoding.teacher_forcing import teacher_forced_log_probs
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import Completion, TokenIds
from fakes import overflowing
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

LETTERS = "[a-z]{0,12}"
LIMIT = 12
EOS = 1
TEXTS = ("Box 0 has", "Box 1 has", "Put the cup", "Move", "Box 6 is", "Remove the map")

ENGINES = [("outlines", 1), ("outlines", 4), ("speculative", 1), ("speculative", 4)]
ENGINES += [("unconstrained", 1), ("unconstrained", 4)]

Create = Callable[[int | None], PreTrainedModel]


@pytest.fixture
def tokenizer() -> TransformersTokenizer:
    """The tiny tokenizer."""
    return tiny_tokenizer()


@pytest.fixture
def prompts(tokenizer: TransformersTokenizer) -> list[TokenIds]:
    """Six prompts."""
    return [(0, *tokenizer.encode(text)) for text in TEXTS]


@pytest.fixture
def create() -> Create:
    """Return a function that creates a float16 model whose logits overflow after a token."""
    change = overflowing.overflowing
    return lambda token: change(tiny_model("llama", 352, EOS), token).half()


def _decode(
    model: PreTrainedModel,
    tokenizer: TransformersTokenizer,
    prompts: Sequence[TokenIds],
    engine: str,
    batch_size: int,
    expected: dict[TokenIds, TokenIds] | None = None,
) -> tuple[dict[int, Completion], NonFiniteLogitsError | None]:
    """Return the completions yielded, and the error that ended decoding."""
    limits, completions = DecodingLimits(batch_size, LIMIT), dict[int, Completion]()
    try:
        batches = create_engine(engine, model, tokenizer, limits, LETTERS, expected)
        for batch in batches.generate(prompts):
            completions.update(batch)
    except NonFiniteLogitsError as error:
        return completions, error
    return completions, None


def _rare_token(clean: dict[int, Completion], prompts: Sequence[TokenIds]) -> int:
    """Return a token in some answers but not in the first, and in no prompt."""
    used = {token for prompt in prompts for token in prompt} | set(clean[0].token_ids)
    answers = [completion.token_ids[:-1] for completion in clean.values()]
    return next(token for answer in answers for token in answer if token not in used)


@pytest.mark.parametrize(("engine", "batch_size"), ENGINES)
def test_decoding_ends_at_the_first_bad_token(
    create: Create,
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    engine: str,
    batch_size: int,
) -> None:
    """The error names a prompt and the token after the one that overflows; earlier answers stay."""
    clean, error = _decode(create(None), tokenizer, prompts, engine, batch_size)
    assert error is None
    bad = _rare_token(clean, prompts)
    places = {
        (i, completion.token_ids.index(bad) + 1)
        for i, completion in clean.items()
        if bad in completion.token_ids[: LIMIT - 1]
    }
    completions, error = _decode(create(bad), tokenizer, prompts, engine, batch_size)
    assert error is not None
    assert (error.prompt, error.token) in places
    if batch_size == 1 and engine != "speculative":  # in the order of the prompts
        assert error.prompt == min(prompt for prompt, _ in places)
        assert completions.keys() == set(range(error.prompt)) != set()
    assert completions.items() <= clean.items()
    assert not completions.keys() & {prompt for prompt, _ in places}


@pytest.mark.parametrize(("engine", "batch_size"), ENGINES)
def test_first_token(
    create: Create,
    tokenizer: TransformersTokenizer,
    prompts: list[TokenIds],
    engine: str,
    batch_size: int,
) -> None:
    """Logits that overflow right after a prompt are those for token 0."""
    last = prompts[3][-1]
    _, error = _decode(create(last), tokenizer, prompts[3:4], engine, batch_size)
    assert error is not None
    assert (error.prompt, error.token) == (0, 0)


@pytest.mark.parametrize("engine", ["outlines", "unconstrained"])
def test_padding_after_the_end_is_not_checked(
    create: Create, tokenizer: TransformersTokenizer, prompts: list[TokenIds], engine: str
) -> None:
    """Rows that have ended are fed EOS until the batch ends; what follows it does not matter."""
    clean, _ = _decode(create(None), tokenizer, prompts, engine, len(prompts))
    if engine == "outlines":
        assert len({len(completion.token_ids) for completion in clean.values()}) > 1
    completions, error = _decode(create(EOS), tokenizer, prompts, engine, len(prompts))
    assert error is None
    assert completions == clean


def test_rejected_drafts_are_not_checked(
    create: Create, tokenizer: TransformersTokenizer, prompts: list[TokenIds]
) -> None:
    """Logits after a draft that the model did not choose do not end decoding."""
    clean, _ = _decode(create(None), tokenizer, prompts, "speculative", 2)
    letters = {tokenizer.encode(letter)[-1] for letter in "abcdefghijklmnopqrstuvwxyz"}
    used = {token for completion in clean.values() for token in completion.token_ids}
    bad = min(letters - used - {token for prompt in prompts for token in prompt})
    wrong = {prompts[i]: (*c.token_ids[:2], bad, bad) for i, c in clean.items()}
    completions, error = _decode(create(bad), tokenizer, prompts, "speculative", 2, wrong)
    assert error is None
    assert completions == clean


def test_the_same_weights_in_float32(
    create: Create, tokenizer: TransformersTokenizer, prompts: list[TokenIds]
) -> None:
    """In float32 nothing overflows, so decoding goes on."""
    for token in (5, 30, 200):
        model = create(token).float()
        assert _decode(model, tokenizer, prompts, "outlines", 3)[1] is None
        assert _decode(model, tokenizer, prompts, "speculative", 3)[1] is None


def test_teacher_forcing(create: Create) -> None:
    """The error names the row and the token of the answer whose logits are not finite."""
    rows = [ForcedSequence((3, 4), (5, 6)), ForcedSequence((7, 3), (8, 9, 30, 31, 30))]
    assert list(teacher_forced_log_probs(create(None), rows, 2, 1, EOS))
    for batch_size in (1, 2):
        with pytest.raises(NonFiniteLogitsError) as raised:
            list(teacher_forced_log_probs(create(30), rows, 2, batch_size, EOS))
        assert (raised.value.prompt, raised.value.token) == (1, 3)
    # After the last token nothing is predicted.
    assert list(teacher_forced_log_probs(create(6), rows, 2, 2, EOS))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_finite_rows(dtype: torch.dtype) -> None:
    """NaN and both infinities are found; a sum that overflows is not taken for one."""
    largest = torch.finfo(dtype).max
    logits = torch.zeros(6, 9, dtype=dtype)
    logits[1, 3], logits[2, 0], logits[3, 8] = float("nan"), float("inf"), -float("inf")
    logits[4] = largest
    logits[5, :2] = torch.tensor([largest, -largest])
    assert finite_rows(logits).tolist() == [True, False, False, False, True, True]
    assert finite_rows(logits[4:]).tolist() == [True, True]


def test_states_are_named(create: Create) -> None:
    """The message has the model, the state and what to do; the number of the state replaces it."""
    message = r"^m: the logits for token 5 of the answer to state 40 .* use --dtype bfloat16"
    with (
        pytest.raises(NonFiniteLogitsError, match=message) as raised,
        naming_states([20, 30, 40], "m", create(None)),
    ):
        raise NonFiniteLogitsError(2, 5)
    assert (raised.value.prompt, raised.value.token) == (40, 5)
