"""The default engine on a GPU: the paper's tokens in float32, its own attention in 16 bit.

``--device=cpu`` rehearses these tests, through the same lines but without the kernel.
"""

from collections.abc import Sequence

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import create_engine
from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.attention_plans import HeadCounts
from benchmark.decoding.speculative.compatibility import unsupported_reason
from benchmark.decoding.speculative.engine import SpeculativeEngine
from benchmark.decoding.speculative.flash_choice import FLASH, LayerKind, attention_choice
from benchmark.models.gpus import exact_products
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import Completion, TokenIds
from benchmark.runs.requests import RunRequest
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

pytestmark = pytest.mark.gpu

VOCABULARY, EOS = 352, 1
EXPRESSION = "(the bag|the map)( and the (bag|map)){2}, Box 3 contains (nothing|the bag)?"
TEXTS = (
    "Write a statement.\n\nDescription: Box 0 contains the bag.\nStatement:",
    "Write a statement.\n\nDescription: Box 0 contains the bag. Put the car.\nStatement:",
    "Write a statement.\n\nDescription: Box 1 contains the coat.\nStatement:",
    "Write",
)
HEADS = {
    "heads of 64": (4, 4, 64),
    "grouped, heads of 128": (4, 2, 128),
    "multi-query, heads of 256": (4, 1, 256),
}
"""Query heads, key heads and the size of a head."""


@pytest.fixture
def device(run_request: RunRequest) -> str:
    """Return the device of ``--device``: the first GPU by default."""
    exact_products()  # these models are not loaded by the loader, which does this in runs
    return "cuda:0" if run_request.device == "cuda" else run_request.device


@pytest.fixture
def tokenizer() -> TransformersTokenizer:
    """Return the tiny tokenizer."""
    return tiny_tokenizer()


def _llama(heads: tuple[int, int, int]) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        head_dim=heads[2],
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=EOS,
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def _answers(
    name: str, model: PreTrainedModel, tokenizer: TransformersTokenizer, batch_size: int
) -> dict[int, Completion]:
    prompts: Sequence[TokenIds] = [(0, *tokenizer.encode(text)) for text in TEXTS]
    engine = create_engine(name, model, tokenizer, DecodingLimits(batch_size, 30), EXPRESSION)
    assert isinstance(engine, SpeculativeEngine) is (name == "speculative")
    return dict(pair for batch in engine.generate(prompts) for pair in batch)


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_heads_in_float32(
    device: str, tokenizer: TransformersTokenizer, heads: tuple[int, int, int]
) -> None:
    """Tokens are those of the paper's engine, in batches of 1 and of 3."""
    model = _llama(heads).to(device)
    paper = _answers("outlines", model, tokenizer, 1)
    assert _answers("speculative", model, tokenizer, 1) == paper
    assert _answers("speculative", model, tokenizer, 3) == paper


@pytest.mark.parametrize("architecture", ["llama", "gemma", "gemma2", "gemma3", "mistral", "qwen2"])
def test_architectures_in_float32(
    device: str, tokenizer: TransformersTokenizer, architecture: str
) -> None:
    """The same for other architectures, of which three have a sliding window."""
    model = tiny_model(architecture, VOCABULARY, EOS).to(device)
    paper = _answers("outlines", model, tokenizer, 1)
    assert _answers("speculative", model, tokenizer, 3) == paper


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_heads_in_16_bit(
    device: str, tokenizer: TransformersTokenizer, heads: tuple[int, int, int], dtype: torch.dtype
) -> None:
    """Packed passes have the model's own logits, by the flash kernel on a GPU."""
    model = _llama(heads).to(device, dtype)
    kernels = set[str]()
    assert unsupported_reason(model, kernels) is None
    assert kernels == (set() if device == "cpu" else {FLASH})
    assert len(_answers("speculative", model, tokenizer, 3)) == len(TEXTS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("architecture", ["gemma", "gemma2", "gemma3", "mistral", "qwen2"])
def test_architectures_in_16_bit(device: str, architecture: str, dtype: torch.dtype) -> None:
    """A window is in the kernel, and a soft cap takes the plain path."""
    kernels = set[str]()
    model = tiny_model(architecture, VOCABULARY, EOS).to(device, dtype)
    assert unsupported_reason(model, kernels) is None
    expected = "plain: soft cap" if architecture == "gemma2" else FLASH
    assert kernels == (set() if device == "cpu" else {expected})


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_the_kernel_agrees_with_the_plain_path(
    device: str, heads: tuple[int, int, int], window: int | None
) -> None:
    """The trial decides for the kernel on a GPU of a generation that has it."""
    query, keys, width = heads
    parameters = ScoreParameters(width**-0.5, None, window)
    place = torch.device(device)
    kind = LayerKind(place, torch.bfloat16, HeadCounts(keys, query // keys), width, parameters)
    assert attention_choice(kind).name == (None if device == "cpu" else FLASH)
