"""The engines by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.decoding.engine import Engine, Limits
from benchmark.errors import ModelError, SettingError
from benchmark.models.tokenizer import Tokenizer, TransformersTokenizer
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmark.decoding.constraint import Constraint

ENGINES = {
    "speculative": "the same tokens in a fraction of the passes",
    "outlines": "the paper's method: outlines' constrained generation",
    "unconstrained": "the same without the constraint, for the paper's ablation",
}


def check_engine(name: str) -> str:
    """The name itself.

    Raises:
        SettingError: when there is no such engine.
    """
    if name not in ENGINES:
        raise SettingError(f"no engine {name!r}; choose one of {', '.join(ENGINES)}")
    return name


def check_prompts(
    model: "PreTrainedModel",
    tokenizer: TransformersTokenizer,
    prompts: Sequence[TokenIds],
    limits: Limits,
) -> None:
    """Check that the model has an embedding for every id, and positions for the whole answer.

    Raises:
        ModelError: when a tokenizer of other weights made the prompts, or they are too long.
    """
    rows = model.get_input_embeddings().num_embeddings
    largest = max(tokenizer.eos_id, *map(max, prompts))
    if largest >= rows:
        raise ModelError(
            f"{tokenizer.name}: its tokenizer gives id {largest}, but its weights have {rows} "
            "embeddings; the tokenizer's files are of another model"
        )
    longest = max(map(len, prompts)) + limits.max_new_tokens
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and longest > positions:
        raise ModelError(
            f"{tokenizer.name}: prompt and answer take up to {longest} tokens, and the model has "
            f"{positions} positions; lower --max-new-tokens if that is enough, or take another "
            "model"
        )


def compiled(expression: str, tokenizer: Tokenizer, rows: int | None = None) -> "Constraint":
    """The expression compiled for a tokenizer.

    ``rows`` is how many ids the weights have: a tokenizer may name more, and those have no logit.

    Raises:
        ModelError: when tokenizer and expression do not go together.
    """
    from benchmark.decoding.constraint import Constraint

    spellings = {i: text for i, text in tokenizer.spellings.items() if rows is None or i < rows}
    return Constraint(expression, spellings, tokenizer.eos_id)


def create_engine(
    name: str,
    model: "PreTrainedModel",
    tokenizer: TransformersTokenizer,
    limits: Limits,
    expression: str,
    expected: Mapping[TokenIds, TokenIds] | None = None,
    say: Callable[[str], None] = print,
) -> Engine:
    """The engine of that name, its constraint compiled for the tokenizer.

    ``expected`` has answers by prompt that completions may resemble: they make a speculative
    engine faster and change no token. ``say`` is told when the engine ``outlines`` has to do the
    work of ``speculative``.

    Raises:
        SettingError: when there is no such engine.
        ModelError: when tokenizer and weights, or tokenizer and expression, do not go together.
    """
    from benchmark.decoding.drafts import expected as expected_drafts
    from benchmark.decoding.outlines_engine import OutlinesEngine
    from benchmark.decoding.products import keep_few_kernels
    from benchmark.decoding.speculative_engine import SpeculativeEngine
    from benchmark.decoding.support import unsupported

    keep_few_kernels()
    if check_engine(name) == "unconstrained":
        return OutlinesEngine(model, tokenizer, limits, None)
    constraint = compiled(expression, tokenizer, model.get_input_embeddings().num_embeddings)
    if name == "outlines":
        return OutlinesEngine(model, tokenizer, limits, constraint)
    if reason := unsupported(model):
        say(f"engine outlines in place of speculative for this model: {reason}")
        return OutlinesEngine(model, tokenizer, limits, constraint, in_place_because=reason)
    drafters = {"expected": expected_drafts(expected)} if expected else {}
    return SpeculativeEngine(model, tokenizer, limits, constraint, drafters)
