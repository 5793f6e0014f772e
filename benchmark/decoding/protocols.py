"""Named protocols: the settings that change scores, as data."""

import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Self

from benchmark.decoding.engine import Limits
from benchmark.errors import SettingError


@dataclass(frozen=True, slots=True)
class DecodingProtocol:
    """The limits of decoding, the dtype by kind of device, and whether answers must fit.

    With ``whole_answers`` a limit that would cut a correct answer off is refused.
    """

    limits: Limits
    dtypes: dict[str, str]
    whole_answers: bool

    def dtype(self, device: str) -> str:
        """The dtype for a torch device such as ``cuda:1``."""
        return self.dtypes.get(device.partition(":")[0], self.dtypes["cuda"])

    def with_limits(self, batch_size: int | None, max_new_tokens: int | None) -> Self:
        """The same with the limits that are given here."""
        for name, value in (("--batch-size", batch_size), ("--max-new-tokens", max_new_tokens)):
            if value is not None and value < 1:
                raise SettingError(f"{name} {value}: at least 1 is needed")
        limits = Limits(
            batch_size or self.limits.batch_size, max_new_tokens or self.limits.max_new_tokens
        )
        return replace(self, limits=limits)


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
    limits = Limits(data["batch_size"], data["max_new_tokens"])
    return DecodingProtocol(limits, data["dtype"], data["whole_answers"])
