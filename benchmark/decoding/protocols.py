"""Named protocols: the settings that change scores, as data."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files

from benchmark.decoding.engine import DecodingLimits
from benchmark.errors import SettingError


@dataclass(frozen=True, slots=True)
class DecodingProtocol:
    """The engine, the limits of decoding, and the dtype by kind of device.

    With ``whole_answers`` a limit that would cut a correct answer off is refused; with
    ``paper_quantization`` a model of the paper is loaded in the bits that the paper used, with
    ``repeated_bos`` a BOS comes before a chat prompt that has one already.
    """

    engine: str
    limits: DecodingLimits
    dtypes: dict[str, str]
    whole_answers: bool
    paper_quantization: bool
    repeated_bos: bool

    def dtype(self, device: str) -> str:
        """The dtype for a torch device such as ``cuda:1``."""
        return self.dtypes.get(device.partition(":")[0], self.dtypes["cuda"])


def protocol(name: str) -> DecodingProtocol:
    """The protocol of that name.

    Raises:
        SettingError: when there is no such protocol.
    """
    text = files("benchmark.decoding").joinpath("protocols.toml").read_text(encoding="utf-8")
    known = tomllib.loads(text)
    if name not in known:
        raise SettingError(f"no protocol {name!r}; choose one of {', '.join(known)}")
    data = known[name]
    limits = DecodingLimits(data["batch_size"], data["max_new_tokens"])
    flags = {name: data[name] for name in ("whole_answers", "paper_quantization", "repeated_bos")}
    return DecodingProtocol(data["engine"], limits, data["dtype"], **flags)
