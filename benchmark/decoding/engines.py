"""The table of engines, and how an engine is created.

An engine is a module with a factory and a row in ``engines.toml``; no other file names it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmark.decoding.engine import DecodingLimits, Engine
from benchmark.errors import MissingLibraryError, ModelError, SettingError
from benchmark.models.tokenizer import Tokenizer, TransformersTokenizer
from benchmark.package_data import package_toml
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmark.decoding.connection import ConnectInputs, Connection
    from benchmark.decoding.constraint import Constraint
    from benchmark.decoding.log_probs import ScoringEngine


@dataclass(frozen=True, slots=True)
class SpeedTraits:
    """How ``speed`` measures an engine; ``engines.toml`` explains the fields."""

    worker: str = "benchmark.speed.own_worker"
    environment: str = "own"
    package: str = ""
    batch: int | None = None
    batched: bool = True
    slow: bool = False
    weights: str = "any"
    cpu_only: bool = False
    cpu_build: str = ""
    own_numbers: bool = False
    elsewhere: bool = False
    preload: Sequence[str] = ()
    threads: bool = False
    tuned: Mapping[str, int | bool] = field(default_factory=dict)

    @property
    def has_limit(self) -> bool:
        """Whether the arithmetic limit of this machine and of a dtype applies to it."""
        return not (self.own_numbers or self.elsewhere)


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One row of the table of engines; ``engines.toml`` explains the fields."""

    name: str
    about: str = ""
    factory: str | None = None
    connect: str | None = None
    scoring: str | None = None
    options: Sequence[str] = ()
    constrained: bool = True
    loads_weights: bool = True
    on_device: bool = False
    packed: bool = False
    products: Sequence[str] = ()
    needs: Sequence[str] = ()
    libraries: Sequence[str] = ()
    speed: SpeedTraits = field(default_factory=SpeedTraits)

    def create(self, inputs: "EngineInputs") -> Engine:
        """Return the engine.

        Raises:
            SettingError: if only ``speed`` can run this engine.
        """
        if self.factory is None:
            raise SettingError(f"engine {self.name} can only be run by speed")
        factory: Callable[[EngineInputs], Engine] = _named(self.factory)
        return factory(inputs)

    def create_scoring(
        self, inputs: "EngineInputs", prompts: Sequence[TokenIds]
    ) -> "ScoringEngine | None":
        """Return what decodes and scores these prompts in any arrangement, if the engine can."""
        if self.scoring is None:
            return None
        factory: Callable[[EngineInputs, Sequence[TokenIds]], ScoringEngine]
        factory = _named(self.scoring)
        return factory(inputs, prompts)

    def connected(self, inputs: "ConnectInputs") -> "Connection | None":
        """Find an engine that runs elsewhere; None for one that runs in this process."""
        if self.connect is None:
            return None
        connect: Callable[[ConnectInputs], Connection] = _named(self.connect)
        return connect(inputs)


def _named(path: str) -> Any:  # noqa: ANN401  # the caller knows the function's type
    """Return the function that is named ``MODULE:FUNCTION``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True, slots=True)
class EngineInputs:
    """The arguments of an engine's factory.

    Attributes:
        weights: the model; None for an engine that loads no weights in this process.
        tokenizer: the model's tokenizer.
        limits: batch size and completion length.
        constraint: what completions must match; None for an unconstrained engine.
        expected: answers by prompt that completions may resemble. They may make an engine faster
            and must not change a token.
        say: takes a line of text for the user if the engine has to deviate from its settings.
        products: the name of the matrix-product backend, for an engine that can choose.
        fused: whether an engine may use compiled kernels.
        connection: an engine that runs elsewhere; None for one that runs in this process.
    """

    weights: "PreTrainedModel | None"
    tokenizer: TransformersTokenizer
    limits: DecodingLimits
    constraint: "Constraint | None"
    expected: Mapping[TokenIds, TokenIds] = field(default_factory=dict)
    say: Callable[[str], None] = print
    products: str | None = None
    fused: bool = True
    connection: "Connection | None" = None

    @property
    def model(self) -> "PreTrainedModel":
        """The model of an engine that loads weights."""
        if self.weights is None:
            raise TypeError("an engine whose row says loads_weights = false has no model")
        return self.weights


def row_from_json(fields: Mapping[str, Any]) -> EngineRow:
    """Return the row with these fields; the inverse of ``dataclasses.asdict``."""
    return EngineRow(**{**fields, "speed": SpeedTraits(**fields.get("speed", {}))})


def _rows() -> dict[str, EngineRow]:
    rows = package_toml("decoding/engines.toml")
    return {name: row_from_json({"name": name, **fields}) for name, fields in rows.items()}


ENGINES: dict[str, EngineRow] = _rows()
"""All engines by name, including those that only ``speed`` can run."""


def check_engine(name: str) -> str:
    """Check that ``run`` can decode with this engine here, and return its name.

    Raises:
        SettingError: if the engine does not exist.
        MissingLibraryError: if a package that it needs is not installed.
    """
    if name not in decoding_engines():
        raise SettingError(f"no engine {name!r}; choose one of {', '.join(decoding_engines())}")
    for package in ENGINES[name].needs:
        if find_spec(package) is None:
            raise MissingLibraryError(
                f"engine {name} needs the package {package}; pip install {package}, or choose "
                "another engine"
            )
    return name


def decoding_engines() -> tuple[str, ...]:
    """Return the names of the engines that ``run`` can decode with."""
    return tuple(name for name, row in ENGINES.items() if row.factory)


def engine_of_library(library: str) -> str | None:
    """Return the engine that a library is part of where it runs; None for one of this process."""
    return next((name for name, row in ENGINES.items() if library in row.libraries), None)


def check_prompts(
    model: "PreTrainedModel | None",
    tokenizer: TransformersTokenizer,
    prompts: Sequence[TokenIds],
    limits: DecodingLimits,
) -> None:
    """Check that the model has an embedding for every id, and enough positions for answers.

    Without weights nothing is checked.

    Raises:
        ModelError: if the tokenizer belongs to another model, or prompts are too long.
    """
    if model is None:
        return
    rows = model.get_input_embeddings().num_embeddings
    largest = max(tokenizer.eos_id, *map(max, prompts))
    if largest >= rows:
        raise ModelError(
            f"{tokenizer.name}: its tokenizer produces id {largest}, but its weights have {rows} "
            "embeddings; the tokenizer files belong to another model"
        )
    longest = max(map(len, prompts)) + limits.max_new_tokens
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and longest > positions:
        raise ModelError(
            f"{tokenizer.name}: prompt and answer take up to {longest} tokens, and the model has "
            f"{positions} positions; lower --max-new-tokens if that is enough, or use another "
            "model"
        )


def compile_constraint(
    expression: str, tokenizer: Tokenizer, model: "PreTrainedModel | None" = None
) -> "Constraint":
    """Return the expression compiled for a tokenizer.

    With a model, only ids that have a logit are included; a tokenizer may define more.

    Raises:
        ModelError: if the expression cannot be compiled for the tokenizer.
    """
    from benchmark.decoding.constraint import Constraint

    rows = model.get_input_embeddings().num_embeddings if model is not None else None
    token_bytes = {i: text for i, text in tokenizer.token_bytes.items() if rows is None or i < rows}
    return Constraint(expression, token_bytes, tokenizer.eos_id)


def create_engine(
    name: str,
    model: "PreTrainedModel | None",
    tokenizer: TransformersTokenizer,
    limits: DecodingLimits,
    constraint: "Constraint | str | None",
    expected: Mapping[TokenIds, TokenIds] | None = None,
    say: Callable[[str], None] = print,
    products: str | None = None,
    connection: "Connection | None" = None,
    *,
    fused: bool = True,
) -> Engine:
    """Return the engine called ``name``.

    An expression is compiled for the tokenizer if the engine is constrained and ignored otherwise.
    ``expected``, ``say``, ``products``, ``connection`` and ``fused`` are as in
    :class:`EngineInputs`.

    Raises:
        SettingError: if the engine does not exist.
        MissingLibraryError: if a package that it needs is not installed.
        ModelError: if the tokenizer does not match the weights or cannot spell the expression.
    """
    row = ENGINES[check_engine(name)]
    if not row.constrained:
        constraint = None
    elif isinstance(constraint, str):
        constraint = compile_constraint(constraint, tokenizer, model)
    if model is not None:
        from benchmark.models.hardware import limit_kernel_caches

        limit_kernel_caches()
    inputs = EngineInputs(
        model, tokenizer, limits, constraint, expected or {}, say, products, fused, connection
    )
    return row.create(inputs)
