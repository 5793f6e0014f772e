"""Forecast memory compared with allocations of small models, and numbers of GPUs."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import DynamicCache

from benchmark.controls.network import cache_argument
from benchmark.decoding.engines import compile_constraint
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.model_runner import ModelRunner, ragged
from benchmark.decoding.speculative.scheduler import Scheduler
from benchmark.decoding.speculative.sequence_state import GenerationRules, Statistics
from benchmark.errors import SettingError
from benchmark.planning.architectures import configuration
from benchmark.planning.memory import (
    DecodingBatch,
    Memory,
    best_fit,
    cache_bytes,
    gpus_needed,
    memory,
    packed_cache_bytes,
    packed_working_bytes,
    positions_at_once,
    weight_bytes,
    working_bytes,
)
from benchmark.planning.planning import Assumptions
from benchmark.planning.shape import ModelShape, shape
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

TYPES = ("llama", "gemma", "mistral", "qwen2")
DTYPES = ("float32", "bfloat16", "float16")


def _tensors(tree: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own class has none
    """Record the peak of bytes of tensors created while the mode is active."""

    def __init__(self) -> None:
        """Start with no tensors."""
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self.now = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run the operation and count its results."""
        before = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            self._count(tensor.untyped_storage(), before)
        return result

    def _count(self, storage: torch.UntypedStorage, before: set[int]) -> None:
        address = storage._cdata
        if address in before or address in self.seen:
            return  # a view, or written in place
        self.seen.add(address)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, address, storage.nbytes())

    def _freed(self, address: int, size: int) -> None:
        self.seen.discard(address)
        self.now -= size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", TYPES)
def test_weights_are_as_large_as_allocated(kind: str, dtype: str) -> None:
    """The forecast equals the bytes of a real model's parameters."""
    model = tiny_model(kind, 301, 1).to(getattr(torch, dtype))
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage() for p in model.parameters()}
    allocated = sum(storage.nbytes() for storage in storages.values())
    assert weight_bytes(shape(model.config), dtype) == allocated


@pytest.mark.parametrize("kind", TYPES)
def test_weights_in_8_bit(kind: str) -> None:
    """In 8 bit, linear layers take one byte per weight and four per row, the rest two."""
    model = tiny_model(kind, 301, 1)
    expected = sum(
        p.numel() + 4 * len(p) if name.endswith("_proj.weight") else 2 * p.numel()
        for name, p in model.named_parameters()
    )
    assert weight_bytes(shape(model.config), "8bit") == expected


@torch.inference_mode()
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("length", [1, 5, 7, 8, 9, 30])
@pytest.mark.parametrize("kind", TYPES)
def test_cache_is_as_large_as_allocated(kind: str, length: int, dtype: str) -> None:
    """The forecast is the memory of keys and values after real passes, windows of 8 included.

    First after a prompt read at once, then after one token more.
    """
    model = tiny_model(kind, 301, 1).to(getattr(torch, dtype))
    actual, cache = shape(model.config), DynamicCache(config=model.config)

    def allocated() -> int:
        tensors = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    model(torch.ones(3, length, dtype=torch.long), **{cache_argument(model): cache})
    assert cache_bytes(actual, dtype, 3, length, read_at_once=length) == allocated()
    model(torch.ones(3, 1, dtype=torch.long), **{cache_argument(model): cache})
    # Of a window the last cut is a view too, of one position more.
    more = allocated() - cache_bytes(actual, dtype, 3, length + 1)
    assert 0 <= more <= (cache_bytes(actual, dtype, 3, 1) if kind == "mistral" else 0)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tokens", [40, 200])
@pytest.mark.parametrize("kind", TYPES)
def test_working_memory_covers_a_real_pass(kind: str, tokens: int, dtype: str) -> None:
    """The forecast covers the peak of a pass over the prompts, and is below three times it.

    Weights and cache are counted apart; masks are as with padding on the left.
    """
    model = tiny_model(kind, 301, 1).to(getattr(torch, dtype))
    actual, rows = shape(model.config), 4
    ids = torch.ones(rows, tokens, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    cache = DynamicCache(config=model.config)
    with Peak() as measured:
        logits = model(
            ids,
            attention_mask=mask,
            **{cache_argument(model): cache},
            use_cache=True,
            logits_to_keep=1,
        ).logits
        logits[:, -1].to(torch.float32, copy=True).softmax(-1)
    cached = cache_bytes(actual, dtype, rows, tokens, read_at_once=tokens)
    forecast = working_bytes(actual, dtype, DecodingBatch(rows, tokens, 0))
    assert measured.peak - cached < forecast < 3 * measured.peak


def test_peak_counts_what_lives_together() -> None:
    """The recorder of the test above ignores freed tensors and views."""
    with Peak() as measured:
        one = torch.ones(100)
        two = one[:50] + 1
        del one
        three = torch.ones(120)
    assert (two.numel(), three.numel()) == (50, 120)
    assert measured.peak == 4 * (50 + 120)


def test_llama_2_7b() -> None:
    """Llama 2 7B takes 13.5 GB in 16 bit, and half a megabyte of cache per token."""
    actual = shape(configuration("meta-llama/Llama-2-7b-hf"))
    needs = memory(actual, "bfloat16", DecodingBatch(1, 100, 28))
    assert needs.weights == 2 * 6_738_415_616
    assert needs.cache == 128 * 524_288
    assert needs.total == needs.weights + needs.cache + needs.working
    assert needs.layers == 32


def test_the_default_engines_cache() -> None:
    """Llama 2 7B at batch 32: 8.5 GB where prompts padded to the longest take 14.2 GB."""
    actual = shape(configuration("meta-llama/Llama-2-7b-hf"))
    padded, packed = DecodingBatch(32, 592, 256), DecodingBatch(32, 592, 256, 355, 4096)
    assert memory(actual, "bfloat16", padded).cache == 524_288 * 32 * (592 + 256)
    assert memory(actual, "bfloat16", packed).cache == 524_288 * (355 + 32 * (592 - 355 + 256))


@torch.inference_mode()
@pytest.mark.parametrize("kind", TYPES)
def test_packed_forecast_covers_the_engine(kind: str) -> None:
    """The cache is as large as allocated, and the working memory covers the passes of a run."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(kind, len(tokenizer.raw), tokenizer.eos_id)
    actual = shape(model.config)
    prompts = [(1, 2, 3, *(4 + (7 * n + i) % 9 for i in range(20))) for n in range(3)]
    batch = DecodingBatch(3, 23, 5, shared_tokens=3, pass_tokens=512)
    automaton = Automaton.from_constraint(
        compile_constraint("[a-z ]{1,9}", tokenizer, model), tokenizer.token_bytes
    )
    cost_model = CostModel.on("cuda", rows=3)
    rules = GenerationRules(automaton, frozenset({tokenizer.eos_id}), 5)
    runner = ModelRunner(model, automaton, cost_model)
    scheduler = Scheduler(runner, rules, {}, cost_model, Statistics())
    with ragged(model), Peak() as measured:
        sequences = [s for done in scheduler.decode(dict(enumerate(prompts))) for s in done]
    assert len(sequences) == 3
    cache = runner._cache
    kept = [kv for layers in (cache.prefix, cache._own) for kv in layers.values()]
    allocated = sum(t.untyped_storage().nbytes() for kv in kept for t in kv)
    assert packed_cache_bytes(actual, "float32", batch) == allocated
    assert measured.peak - allocated < 3 * packed_working_bytes(actual, "float32", batch)


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        ([80], (1, 32)),
        ([31, 31], (1, 8)),  # enough rows on one
        ([27, 27], (2, 16)),  # of which one holds 4
        ([27], (1, 4)),
        ([10, 27, 11], (1, 4)),  # the others are busy and hold nothing
        ([10], None),
    ],
)
def test_fewer_gpus_first(free: list[int], expected: tuple[int, int] | None) -> None:
    """No GPU is added if a batch of 8 fits on fewer; a smaller batch is the last choice."""
    actual = ModelShape(10**10, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, (None,) * 100)
    # 20 GB of weights; a row's 250 million positions take 1 GB.
    batch = DecodingBatch(32, 1, 2_500_000, 0, 1)
    result = best_fit(actual, "bfloat16", batch, [size * 10**9 for size in free])
    assert (result and (result.gpus, result.batch.batch_size)) == expected


def test_unknown_dtype() -> None:
    """An unknown dtype is refused, and the message lists the known ones."""
    with pytest.raises(SettingError, match="unknown dtype 'int3'; choose one of float32"):
        weight_bytes(shape(configuration("huggyllama/llama-7b")), "int3")


# GPUs

NOTHING = Assumptions(
    context_bytes=0,
    fragmentation=0,
    weights_share=1,
    seconds_a_layer=0,
    disk_bytes_per_second=1,
    hub_bytes_per_second=1,
)


@pytest.mark.parametrize(
    ("weights", "cache", "working", "gpu", "expected"),
    [
        (60, 20, 20, 100, 1),  # all of it on one
        (60, 21, 20, 100, 2),
        (160, 20, 10, 100, 3),  # 18 layers of 10: 90 hold nine, but one more may fall to one
        (100, 100, 99, 100, None),  # no room next to the working memory
        (9000, 0, 10, 100, None),  # a layer is more than a GPU
    ],
)
def test_gpus_by_hand(
    weights: int, cache: int, working: int, gpu: int, expected: int | None
) -> None:
    """One GPU if everything fits; else shares with working memory and one more layer."""
    needs = Memory(weights, cache, working, layers=18)
    assert gpus_needed(needs, gpu, NOTHING) == expected


@given(
    weights=st.integers(1, 10_000),
    cache=st.integers(0, 10_000),
    working=st.integers(0, 300),
    layers=st.integers(1, 90),
    gpu=st.integers(50, 5_000),
    context=st.integers(0, 50),
    loose=st.sampled_from([0.0, 0.05, 0.3]),
)
def test_layers_really_fit(
    weights: int, cache: int, working: int, layers: int, gpu: int, context: int, loose: float
) -> None:
    """Layers that are distributed as evenly as possible fit on the forecast GPUs."""
    assumed = NOTHING.model_copy(update={"context_bytes": context, "fragmentation": loose})
    needs = Memory(weights, cache, working, layers)
    count = gpus_needed(needs, gpu, assumed)
    if count is None:
        return
    most = -(-layers // count)  # whole layers on the fullest GPU
    needed = (weights + cache) * most / layers + working + context
    assert needed <= gpu * (1 - loose) + 1e-6
    if count > 1:
        assert weights + cache + working + context > gpu * (1 - loose)


def test_the_loader_s_limit_of_weights_counts() -> None:
    """More GPUs are needed if weights may take only half of each."""
    needs = Memory(weights=150, cache=0, working=0, layers=150)
    assert gpus_needed(needs, 100, NOTHING) == 2
    half = NOTHING.model_copy(update={"weights_share": 0.5})
    assert gpus_needed(needs, 100, half) == 3


@given(st.integers(1, 200), st.integers(1, 200))
def test_more_rows_never_take_less(rows: int, tokens: int) -> None:
    """Cache and working memory grow with rows and tokens."""
    actual: ModelShape = shape_of_seven()
    small, large = DecodingBatch(rows, tokens, 10), DecodingBatch(rows + 1, tokens + 1, 10)
    assert memory(actual, "bfloat16", small).total < memory(actual, "bfloat16", large).total
    wide = replace(actual, windows=(None,) * actual.layers)
    assert cache_bytes(actual, "bfloat16", rows, tokens) <= cache_bytes(
        wide, "bfloat16", rows, tokens
    )


def shape_of_seven() -> ModelShape:
    """Return a small shape with a sliding window in one layer."""
    return ModelShape(7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, (None, 50))


@pytest.mark.parametrize(
    ("vocabulary", "positions"), [(50_000, 320), (262_144, 128), (100, 160_000)]
)
def test_the_head_reads_its_weights_for_many_positions(vocabulary: int, positions: int) -> None:
    """As many as have 16 million logits, but at least 128."""
    assert positions_at_once(vocabulary) == positions
