"""Control models embedded in Llamas of any size that compute the same function.

The control's weights fill some rows and columns of the larger matrices. What else would reach the
residual stream is zero: the other columns of output and down projections, and those of additional
layers. So the stream has zeros after the control's width, and the remaining weights, which are
random, change no logit but take the time of a real model's.

RMSNorm averages over the larger width D in place of the control's d: its weights are multiplied by
sqrt(d / D), and its epsilon by d / D. A head's rotary pairs go to the pairs of the same frequency
in the larger head, and queries are multiplied by sqrt(H / h), because scores are divided by the
square root of the head's size H in place of h.
"""

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmark.controls.shards import SHARD_BYTES, Shape, write_shards
from benchmark.errors import SettingError
from benchmark.folder_writing import replacing_folder
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.planning.architectures import Architecture, configuration

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_RANDOM_WEIGHTS = 1_000_003
"""How many different random weights there are. A prime number, so that rows are not the same."""

_SPREAD = 0.02
"""Their standard deviation, as in models before training."""

_COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)
"""Files of the control that the new folder has too, if they exist."""


def widen(
    control: Path,
    shape: Architecture,
    out: Path,
    *,
    dtype: str = "float32",
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a model of this shape that computes the same function as a control.

    The new folder has a configuration, safetensors and the control's tokenizer. No more than one
    shard of the weights is in memory.

    Args:
        control: the folder of a Llama without biases.
        shape: the shape of the new model, a Llama.
        out: the folder to write.
        dtype: of the weights. In bfloat16 and float16 they are rounded, so logits are equal up to
            rounding only.
        seed: of the random weights.
        shard_bytes: the largest size of a file of weights.

    Raises:
        SettingError: if the model is no plain Llama, the shape cannot hold it, or the folder has
            files already.
        ModelError: if the control cannot be loaded.
    """
    if out.is_dir() and any(out.iterdir()):
        raise SettingError(f"--out {out}: has files already; name a new folder")
    model = load_model(locate(str(control)), LoadOptions("cpu", "float32"))
    wide = WideModel(model, shape, np.random.default_rng(seed), dtype)
    with replacing_folder(out, last="config.json") as folder:
        write_shards(wide.shapes, wide.dtype, wide.tensor, folder, shard_bytes)
        wide.config.save_pretrained(folder)
        for name in _COPIED:
            if (control / name).is_file():
                shutil.copyfile(control / name, folder / name)


def shape_of(control: Path) -> Architecture:
    """Return the shape of a control.

    Raises:
        SettingError: if the model is no plain Llama.
        ModelError: if its configuration cannot be read.
    """
    config = configuration(str(control))
    check_plain(config)
    fields = {
        name: getattr(config, name) for name in Architecture.model_fields if hasattr(config, name)
    }
    return Architecture(**fields)


class WideModel:
    """The weights of a control embedded in those of a larger Llama, made one tensor at a time.

    Attributes:
        config: the configuration of the larger model.
        dtype: of its weights.
        shapes: the shape of each weight by name; a head that is tied is left out.
    """

    def __init__(
        self,
        control: "PreTrainedModel",
        shape: Architecture,
        draws: np.random.Generator,
        dtype: str = "float32",
    ) -> None:
        """Take the control, the shape, and where random weights come from.

        Raises:
            SettingError: as :func:`widen`.
        """
        check_plain(control.config)
        check_holds(shape, control)
        self._small = control.config
        self._weights = control.state_dict()
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.config = _configuration(control, shape, dtype)
        with torch.device("meta"):
            model = LlamaForCausalLM(self.config)
        self.shapes: dict[str, Shape] = {
            name: tuple(weight.shape) for name, weight in model.named_parameters()
        }
        values = draws.standard_normal(_RANDOM_WEIGHTS, np.float32) * _SPREAD
        self._random = torch.from_numpy(values).to(self.dtype)

    def tensor(self, name: str) -> torch.Tensor:
        """Return the weight of a name; shapes are (rows,) for norms, else (rows, columns)."""
        kind, shape = name.split(".")[-2], self.shapes[name]
        small = self._weights.get(name)
        if kind == "norm" or kind.endswith("layernorm"):
            return self._norm(shape, small)
        if kind in {"embed_tokens", "o_proj", "down_proj"}:
            wide = torch.zeros(shape, dtype=self.dtype)
        else:
            wide = self._random_weights(name, shape)
        if small is None:  # of an additional layer
            return wide
        width = self._small.hidden_size
        if kind in {"embed_tokens", "lm_head"}:
            # Tokens that the control lacks have the logit of one that it has, with a lower id.
            wide[:, :width] = small[torch.arange(shape[0]) % len(small)]
        elif kind == "q_proj":
            wide[self._query_rows(every=True), :width] = 0
            wide[self._query_rows(), :width] = (small * self._query_scale).to(self.dtype)
        elif kind == "k_proj":
            wide[self._key_rows(), :width] = small.to(self.dtype)
        elif kind == "v_proj":
            wide[self._value_rows(), :width] = small.to(self.dtype)
        elif kind == "o_proj":
            wide[:width, self._output_columns()] = small.to(self.dtype)
        else:  # the three of the MLP
            wide[: len(small), : small.shape[1]] = small
        return wide

    def _norm(self, shape: Shape, small: torch.Tensor | None) -> torch.Tensor:
        wide = torch.ones(shape, dtype=self.dtype)
        if small is not None:
            wide[: len(small)] = small * math.sqrt(len(small) / len(wide))
        return wide

    def _random_weights(self, name: str, shape: Shape) -> torch.Tensor:
        """Return the random weights again and again, from a place that depends on the name."""
        values = self._random.roll(crc32(name.encode()) % len(self._random))
        count = math.prod(shape)
        wide = torch.empty(count, dtype=self.dtype)
        for start in range(0, count, len(values)):
            wide[start : start + len(values)] = values[: count - start]
        return wide.view(shape)

    @property
    def _query_scale(self) -> float:
        return math.sqrt(self.config.head_dim / self._small.head_dim)

    def _query_rows(self, *, every: bool = False) -> torch.Tensor:
        """Return the rows of the control's query heads: of its rotary pairs, or all of them."""
        within = torch.arange(self.config.head_dim) if every else self._rotary_rows()
        return self._rows(self._query_heads(), within)

    def _query_heads(self) -> torch.Tensor:
        """Return the larger model's heads that are the control's.

        With 2 key heads of 2 query heads each in a model with 4 query heads per key head they are
        0, 1, 4 and 5.
        """
        group: int = self._small.num_attention_heads // self._small.num_key_value_heads
        wide: int = self.config.num_attention_heads // self.config.num_key_value_heads
        first = torch.arange(int(self._small.num_key_value_heads))[:, None] * wide
        return (first + torch.arange(group)).flatten()

    def _rotary_rows(self) -> torch.Tensor:
        """Return where a head's rows go, so that its rotary pairs keep their frequencies.

        Rows i and i + h / 2 are a pair with frequency theta^(-2i / h). In a head of 64, those of a
        head of 32 go to 0, 2, ..., 30 and 32, 34, ..., 62.
        """
        small, wide = self._small.head_dim, self.config.head_dim
        first = torch.arange(small // 2) * (wide // small)
        return torch.cat([first, first + wide // 2])

    def _key_rows(self) -> torch.Tensor:
        return self._rows(torch.arange(self._small.num_key_value_heads), self._rotary_rows())

    def _value_rows(self) -> torch.Tensor:
        heads = torch.arange(self._small.num_key_value_heads)
        return self._rows(heads, torch.arange(self._small.head_dim))

    def _output_columns(self) -> torch.Tensor:
        return self._rows(self._query_heads(), torch.arange(self._small.head_dim))

    def _rows(self, heads: torch.Tensor, within: torch.Tensor) -> torch.Tensor:
        """Return the rows of the larger model's heads, of each those within a head."""
        size: int = self.config.head_dim
        return (heads[:, None] * size + within).flatten()


def check_plain(config: "PreTrainedConfig") -> None:
    """Check that a model is a Llama whose weights can be embedded.

    Raises:
        SettingError: naming what it has in addition.
    """
    additions = {
        f"the type {config.model_type}, not llama": config.model_type != "llama",
        "biases": getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False),
        "scaled rotary frequencies": config.model_type == "llama"
        and config.rope_parameters.get("rope_type", "default") != "default",
    }
    if reason := next((name for name, present in additions.items() if present), None):
        raise SettingError(f"{config._name_or_path}: has {reason}; name a plain Llama")  # noqa: SLF001


def check_holds(shape: Architecture, control: "PreTrainedModel") -> None:
    """Check that a shape can hold a control.

    Raises:
        SettingError: naming the first number that is too small, or does not divide another.
    """
    small = control.config
    if shape.model_type != "llama":
        raise SettingError(f"the shape has the type {shape.model_type}; name that of a Llama")
    pairs = {
        name: (getattr(shape, name), getattr(small, name))
        for name in (
            *("hidden_size", "intermediate_size", "num_hidden_layers", "num_key_value_heads"),
            *("head_dim", "vocab_size"),
        )
    }
    pairs["query heads per key head"] = (
        shape.num_attention_heads // shape.num_key_value_heads,
        small.num_attention_heads // small.num_key_value_heads,
    )
    for name, (size, needed) in pairs.items():
        if size < needed:
            raise SettingError(f"the shape cannot hold the control: {name} is {size}, not {needed}")
    for name, size, divisor in (
        ("head_dim", shape.head_dim, small.head_dim),
        ("num_attention_heads", shape.num_attention_heads, shape.num_key_value_heads),
        ("hidden_size", shape.hidden_size, shape.num_attention_heads),  # by transformers' own rule
    ):
        if size % divisor:
            raise SettingError(
                f"the shape cannot hold the control: {name} is {size}, no multiple of {divisor}"
            )
    if shape.tie_word_embeddings and not small.tie_word_embeddings:
        raise SettingError(
            "the shape cannot hold the control: its embeddings are tied, the control's are not"
        )


def _configuration(control: "PreTrainedModel", shape: Architecture, dtype: str) -> LlamaConfig:
    """Return the larger model's configuration: the shape, and otherwise the control's."""
    small = control.config
    fields = {**small.to_dict(), **shape.model_dump(exclude={"sliding_window"})}
    fields["max_position_embeddings"] = max(
        shape.max_position_embeddings, small.max_position_embeddings
    )
    fields["rms_norm_eps"] = small.rms_norm_eps * small.hidden_size / shape.hidden_size
    fields["dtype"] = dtype
    return LlamaConfig(**fields)
