"""Addresses, waiting times, and the number of open requests."""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from benchmark.decoding.external.concurrency import Concurrency
from benchmark.decoding.external.http_client import (
    KEY_VARIABLE,
    HttpClient,
    Patience,
    ServerError,
    _status_line,
    base_url,
    retry_after,
)
from benchmark.errors import SettingError


@pytest.mark.parametrize("text", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_addresses(text: str) -> None:
    """The end of the path that clients of OpenAI's interface have is left out."""
    assert base_url(text) == "http://h:1"


@pytest.mark.parametrize(
    "text",
    [
        *("h:1", "ftp://h", "http://", "http://[", "http://h?key=1", "http://h:abc"),
        *("http://☃.example", "http://h\0x", "http://h x", "http://a..b", f"http://{'a' * 64}.b"),
        *(f"http://{'a.' * 130}b", "http://*"),
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    """Anything else is misuse."""
    with pytest.raises(SettingError, match="--base-url"):
        base_url(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://h/v1/completions", "http://h"),
        ("http://h:1/v1/chat/completions/", "http://h:1"),
        ("http://h/gateway/completion", "http://h/gateway"),
        ("http://h/v1/models", "http://h"),
    ],
)
def test_the_address_of_an_endpoint(text: str, address: str) -> None:
    """The line has the server's own."""
    with pytest.raises(SettingError, match=f"one endpoint of a server; give {address}$"):
        base_url(text)


@pytest.mark.parametrize(
    "text", ["http://h/prefix", "http://[::1]:80", "http://my_host.", "http://bücher.example"]
)
def test_other_hosts_and_paths(text: str) -> None:
    """A path before the endpoints, numbers and names in other scripts stay as they are."""
    assert base_url(text) == text


class _Recorder(BaseHTTPRequestHandler):
    """Records the target of each request, which has a host if it is asked as a proxy."""

    targets: ClassVar[list[str]] = []
    status = 200

    def do_GET(self) -> None:
        self.targets.append(self.path)
        self.send_response(self.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def recorder() -> Iterator[type[_Recorder]]:
    """A server, or proxy, whose port is its attribute ``port``."""
    handler = type("Handler", (_Recorder,), {"targets": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        handler.port = server.server_address[1]  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove the proxies of the environment; return what sets others."""
    for scheme in ("all", "http", "https", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)
    return monkeypatch


def _get(address: str) -> dict[str, object] | None:
    with HttpClient(address, 1, Patience(0.0, 0.001)) as client:
        return client.get("/x")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "unknown://x"])
@pytest.mark.parametrize("name", ["ALL_PROXY", "http_proxy"])
def test_this_machine_is_asked_directly(
    recorder: type[_Recorder], proxies: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    """Also if the proxy cannot be used at all; so are the hosts of NO_PROXY."""
    proxies.setenv(name, proxy)
    port = recorder.port  # type: ignore[attr-defined]
    for host in ("127.0.0.1", "localhost", "0.0.0.0"):  # noqa: S104  # asked, not bound
        assert _get(f"http://{host}:{port}") == {}
    assert recorder.targets == ["/x"] * 3
    proxies.setenv("NO_PROXY", "other.example")
    HttpClient("http://other.example", 1).close()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_another_machine_is_asked_through_the_proxy(
    recorder: type[_Recorder], proxies: pytest.MonkeyPatch, name: str
) -> None:
    """Errors name the variable, without the password."""
    port = recorder.port  # type: ignore[attr-defined]
    proxies.setenv(name, f"http://user:secret@127.0.0.1:{port}")
    assert _get("http://served.example") == {}
    assert recorder.targets == ["http://served.example/x"]
    words = rf"asked through the proxy {name}=127.0.0.1:{port} \(NO_PROXY"
    for status in (403, 503, 307):
        recorder.status = status
        with pytest.raises(ServerError, match=words) as error:
            _get("http://served.example")
        assert "secret" not in str(error.value)
    proxies.setenv(name, "http://127.0.0.1:1")
    with pytest.raises(ServerError, match=rf"ConnectError: .*proxy {name}=http://127.0.0.1:1 \("):
        _get("http://served.example")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "unknown://x", "http://h:port"])
def test_a_proxy_that_cannot_be_used(proxies: pytest.MonkeyPatch, proxy: str) -> None:
    """One line; a proxy of SOCKS needs a package that is not installed."""
    if proxy.startswith("socks"):
        proxies.setitem(sys.modules, "socksio", None)
    proxies.setenv("ALL_PROXY", proxy)
    with pytest.raises(SettingError, match=f"the proxy ALL_PROXY={proxy} cannot be used: .*unset"):
        HttpClient("http://served.example", 1)


def test_a_status_without_a_text(recorder: type[_Recorder], proxies: pytest.MonkeyPatch) -> None:
    """The line has no name of a class, no empty text, and nothing about answers."""
    recorder.status = 429
    address = f"http://127.0.0.1:{recorder.port}"  # type: ignore[attr-defined]
    with pytest.raises(ServerError) as error:
        _get(address)
    assert str(error.value) == f"{address}/x: status 429: {{}}; given up after 0 s"
    assert _status_line(429, " ") == "status 429"


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
