"""The engines by name."""

from typing import TYPE_CHECKING

from benchmark.decoding.engine import Engine, Limits
from benchmark.errors import SettingError
from benchmark.models.tokenizer import TransformersTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ENGINES = {
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


def create_engine(
    name: str,
    model: "PreTrainedModel",
    tokenizer: TransformersTokenizer,
    limits: Limits,
    expression: str,
) -> Engine:
    """The engine of that name, its constraint compiled for the tokenizer."""
    from benchmark.decoding.constraint import Constraint
    from benchmark.decoding.outlines_engine import OutlinesEngine

    constraint = None
    if check_engine(name) != "unconstrained":
        constraint = Constraint(expression, tokenizer.spellings, tokenizer.eos_id)
    return OutlinesEngine(model, tokenizer, limits, constraint)
