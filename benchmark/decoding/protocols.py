"""Named protocols: settings that change scores, as data."""

from dataclasses import dataclass, replace
from typing import Self

from benchmark.decoding.engine import DecodingLimits
from benchmark.errors import SettingError
from benchmark.package_data import package_toml


@dataclass(frozen=True, slots=True)
class Quantized:
    """The settings of a protocol for weights in 8 bit."""

    engine: str
    batch_size: int
    dtype: str


@dataclass(frozen=True, slots=True)
class DecodingProtocol:
    """The engine, the decoding limits, and the dtype by kind of device.

    ``whole_answers`` refuses a limit that would cut off a correct answer. ``paper_quantization``
    loads a model of the paper in the bits that the paper used. ``repeated_bos`` puts a BOS before
    a chat prompt that already has one.
    """

    engine: str
    limits: DecodingLimits
    dtypes: dict[str, str]
    whole_answers: bool
    paper_quantization: bool
    repeated_bos: bool
    quantized: Quantized

    def with_weights_in(self, quantization: str | None) -> Self:
        """Return the protocol for weights in 8 bit, or itself if they are not quantized."""
        if quantization is None:
            return self
        own = self.quantized
        limits = replace(self.limits, batch_size=own.batch_size)
        return replace(self, engine=own.engine, limits=limits, dtypes={"cuda": own.dtype})

    def dtype(self, device: str) -> str:
        """Return the dtype for a torch device such as ``cuda:1``."""
        return self.dtypes.get(device.partition(":")[0], self.dtypes["cuda"])


def protocol(name: str) -> DecodingProtocol:
    """Return the protocol called ``name``.

    Raises:
        SettingError: if it does not exist.
    """
    protocols = package_toml("decoding/protocols.toml")
    if name not in protocols:
        raise SettingError(f"no protocol {name!r}; choose one of {', '.join(protocols)}")
    data = protocols[name]
    limits = DecodingLimits(data["batch_size"], data["max_new_tokens"])
    flags = {flag: data[flag] for flag in ("whole_answers", "paper_quantization", "repeated_bos")}
    quantized = Quantized(**data["quantized"])
    return DecodingProtocol(data["engine"], limits, data["dtype"], **flags, quantized=quantized)
