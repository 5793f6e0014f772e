"""Named protocols and their limits."""

import pytest

from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.protocols import protocol
from benchmark.errors import SettingError
from benchmark.models.loading import DTYPES

NAMES = ("default", "paper")


def test_paper_protocol() -> None:
    """The paper ran one prompt at a time, at most 100 new tokens, in bfloat16 everywhere."""
    paper = protocol("paper")
    assert paper.limits == DecodingLimits(batch_size=1, max_new_tokens=100)
    assert {paper.dtype(device) for device in ("cpu", "cuda", "cuda:3")} == {"bfloat16"}
    assert not paper.whole_answers


def test_default_protocol() -> None:
    """The default protocol has a higher limit than the paper's and refuses to cut answers."""
    default = protocol("default")
    assert default.limits.max_new_tokens > protocol("paper").limits.max_new_tokens
    assert default.whole_answers


@pytest.mark.parametrize(
    ("device", "dtype"),
    [
        ("cpu", "float32"),
        ("cpu:0", "float32"),
        ("cuda", "bfloat16"),
        ("cuda:1", "bfloat16"),
        ("xpu", "bfloat16"),
    ],
)
def test_dtype_by_device(device: str, dtype: str) -> None:
    """The default dtype depends on the kind of device; other accelerators use that of CUDA."""
    assert protocol("default").dtype(device) == dtype


@pytest.mark.parametrize("name", NAMES)
def test_dtypes_can_be_loaded(name: str) -> None:
    """Every dtype of a protocol is one that weights can be loaded in."""
    assert set(protocol(name).dtypes.values()) <= set(DTYPES)
    assert {"cpu", "cuda"} <= protocol(name).dtypes.keys()


@pytest.mark.parametrize(
    ("batch_size", "max_new_tokens", "expected"),
    [
        (None, None, DecodingLimits(1, 100)),
        (8, None, DecodingLimits(8, 100)),
        (None, 40, DecodingLimits(1, 40)),
        (1, 1, DecodingLimits(1, 1)),
    ],
)
def test_changed_limits(
    batch_size: int | None, max_new_tokens: int | None, expected: DecodingLimits
) -> None:
    """A limit that is not None replaces the protocol's."""
    assert protocol("paper").limits.changed(batch_size, max_new_tokens) == expected


@pytest.mark.parametrize(
    ("batch_size", "max_new_tokens", "option"),
    [(0, None, "--batch-size 0"), (None, 0, "--max-new-tokens 0"), (4, -1, "--max-new-tokens -1")],
)
def test_limits_below_one(batch_size: int | None, max_new_tokens: int | None, option: str) -> None:
    """A limit below 1 is refused, and the error names the option."""
    with pytest.raises(SettingError, match=f"^{option}: at least 1 is needed$"):
        protocol("paper").limits.changed(batch_size, max_new_tokens)


def test_unknown_protocol() -> None:
    """An unknown protocol is refused with the list of protocols."""
    with pytest.raises(SettingError, match="no protocol 'fast'; choose one of default, paper"):
        protocol("fast")
