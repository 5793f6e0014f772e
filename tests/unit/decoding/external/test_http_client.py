"""Addresses, waiting times, and the number of open requests."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from benchmark.decoding.external.concurrency import Concurrency
from benchmark.decoding.external.http_client import KEY_VARIABLE, HttpClient, base_url, retry_after
from benchmark.errors import SettingError


@pytest.mark.parametrize("text", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_addresses(text: str) -> None:
    """The end of the path that clients of OpenAI's interface have is left out."""
    assert base_url(text) == "http://h:1"


@pytest.mark.parametrize(
    "text", ["h:1", "ftp://h", "http://", "http://[", "http://h?key=1", "http://h:abc"]
)
def test_other_addresses_are_refused(text: str) -> None:
    """Anything else is misuse."""
    with pytest.raises(SettingError, match="--base-url"):
        base_url(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((None, None), ("", None), ("3", 3.0), ("-1", 0.0), ("soon", None)),
        *(("nan", None), ("inf", None), ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None)),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """A number of seconds; anything else is ignored."""
    assert retry_after(value) == seconds


def test_retry_after_a_date() -> None:
    """A date is as far away as it is."""
    date = datetime.now(UTC) + timedelta(seconds=30)
    assert retry_after(format_datetime(date)) == pytest.approx(30, abs=2)


def _settled(rate: float, most: int, fixed: int | None = None) -> int:
    """Return the number of requests for a server that answers ``rate`` per second at most."""
    now = [0.0]
    concurrency = Concurrency(fixed, most, lambda: now[0])
    for _ in range(2000):
        now[0] += 1 / min(concurrency.number, rate)
        concurrency.answered()
    return concurrency.number


@pytest.mark.parametrize(("rate", "expected"), [(4, 4), (8, 8), (20, 32), (1000, 64)])
def test_requests_are_doubled_while_that_helps(rate: float, expected: int) -> None:
    """It ends where answers do not come faster."""
    assert _settled(rate, 64) == expected


def test_what_did_not_help_is_undone() -> None:
    """With 6 slots 4 is followed by 6; if that is no faster, 4 are open again."""
    assert _settled(4, 6) == 4


@pytest.mark.parametrize("key", ["sk-abc\ndef", "two words", "clé"])
def test_a_key_that_cannot_be_one(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the variable and not the key."""
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(SettingError, match=KEY_VARIABLE) as error:
        HttpClient("http://h:1", 1)
    assert key not in str(error.value)


def test_slots_and_a_fixed_number() -> None:
    """A server's slots bound it, and a number that was asked for stays."""
    assert _settled(1000, 2) == 2
    assert _settled(1000, 64, fixed=3) == 3
