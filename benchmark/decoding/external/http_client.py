"""Requests to a server: retried with back-off where that may help, with a key that stays secret."""

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from math import isfinite
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from benchmark.decoding.external.completions import FaultyReplyError
from benchmark.errors import BenchmarkError, DataError, SettingError, first_line
from benchmark.models.hub_errors import environment_proxy
from benchmark.output import printable
from benchmark.reading.documents import json_object

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

KEY_VARIABLE = "ENTITY_TRACKING_API_KEY"
"""The environment variable with the server's key."""

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_MISSING = frozenset({404, 405, 501})
_BUSY = frozenset({400})
"""The status of a server that cannot empty its cache while it works."""

_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_REQUEST_WAIT = 0.5, 20.0, 120.0
_PATIENCE = 300.0
_FAULTY_REPLIES = 5
_READ_SECONDS, _CONNECT_SECONDS = 600.0, 10.0
_MOST_BYTES = 16_000_000
_LONGEST_LABEL, _LONGEST_HOST = 63, 253
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_ENDPOINTS = (
    *("/chat/completions", "/completions", "/completion", "/generate"),
    *("/models", "/props", "/version", "/tokenize", "/detokenize"),
)
"""Paths that are given in place of the server's address; the longer of two with one end first."""
_SHOWN = 200


class ServerError(BenchmarkError):
    """A server refuses a request, or does not answer it properly after all retries."""


class ServerReplyError(ServerError):
    """A server, or what is before it, answers, and not as it was asked."""


class _RetryLaterError(FaultyReplyError):
    """A status that asks for another try, after this many seconds if the server says so."""

    def __init__(self, message: str, seconds: float | None) -> None:
        super().__init__(message)
        self.seconds = seconds


def base_url(text: str) -> str:
    """Return the address of a server, without a slash or ``/v1`` at its end.

    Raises:
        SettingError: for an address that is not one of HTTP or is that of one endpoint, for a host
            that has no valid name, and for an address that has a key in it.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # a port may be no number
    except ValueError:
        host = None
    shown = printable(text)[:_SHOWN]
    if not host or parts.scheme not in {"http", "https"}:
        raise SettingError(f"--base-url {shown}: give http://HOST:PORT")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingError(
            f"--base-url: give http://HOST:PORT without user, key or query; a key is read from "
            f"{KEY_VARIABLE}"
        )
    _check_host(text, shown)
    address = text.rstrip("/").removesuffix("/v1").rstrip("/")
    if endpoint := next((path for path in _ENDPOINTS if address.endswith(path)), None):
        server = address.removesuffix(endpoint).removesuffix("/v1")
        raise SettingError(
            f"--base-url {shown}: that is one endpoint of a server; give {printable(server)}"
        )
    return address


def _check_host(address: str, shown: str) -> None:
    """Check that a host can be looked up.

    Raises:
        SettingError: if it has other characters than a name has, or a part of it is too long.
    """
    import httpx2

    try:
        host = httpx2.URL(address).raw_host.decode("ascii")
    except httpx2.InvalidURL as error:
        raise SettingError(f"--base-url {shown}: {printable(str(error))[:_SHOWN]}") from error
    labels = host.removesuffix(".").split(".")
    is_name = all(1 <= len(label) <= _LONGEST_LABEL for label in labels) and _NAME.fullmatch(host)
    if ":" not in host and (len(host) > _LONGEST_HOST or not is_name):
        raise SettingError(
            f"--base-url {shown}: not the name of a host, whose parts have 1 to {_LONGEST_LABEL} "
            "letters, digits, - and _"
        )


@dataclass
class Patience:
    """How long and how often a request is retried.

    Attributes:
        seconds: how long after the first failure.
        replies: how many replies to a request may be faulty. A greedy answer that breaks the
            constraint is likely to be the same the next time.
        clock: returns seconds.
    """

    seconds: float = _PATIENCE
    first_wait: float = _FIRST_WAIT
    replies: int = _FAULTY_REPLIES
    clock: Callable[[], float] = field(default=time.monotonic)


class HttpClient:
    """A connection pool to one server, used by several threads."""

    def __init__(self, address: str, connections: int, patience: Patience | None = None) -> None:
        """Open nothing yet; ``address`` is as :func:`base_url` returns it.

        A host of this machine, or one that ``NO_PROXY`` names, is asked without a proxy.

        Raises:
            SettingError: if the key cannot be one, or the environment's proxy cannot be used.
        """
        self.address = address
        self._proxy = _proxy_of(address)
        self._patience = patience or Patience()
        self._closing = threading.Event()
        self._key = _key()
        self._client = self._opened(connections)

    def _opened(self, connections: int) -> "httpx2.Client":
        import httpx2

        try:
            return httpx2.Client(
                headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
                timeout=httpx2.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
                limits=httpx2.Limits(
                    max_connections=connections, max_keepalive_connections=connections
                ),
                # The key would go along, and the answers would be another server's.
                follow_redirects=False,
                # SSL_CERT_FILE of the environment counts also without its proxies.
                verify=httpx2.create_ssl_context(),
                trust_env=self._proxy is not None,
            )
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            if self._proxy is None:
                raise
            cause = printable(first_line(error))[:_SHOWN].rstrip(".")
            raise SettingError(
                f"{self.address}: the proxy {printable(self._proxy)} cannot be used: {cause}; "
                "unset it, or name the host in NO_PROXY"
            ) from error

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close all connections; requests that are waiting for a retry end."""
        self._closing.set()
        self._client.close()

    def get(self, path: str) -> dict[str, object] | None:
        """Return the JSON object at a path; None if the server has none there.

        Raises:
            ServerError: as :meth:`post`.
        """
        return self._retried(path, lambda: self._document("GET", path, None, _MISSING))

    def post(self, path: str, body: dict[str, object], read: Callable[[dict[str, object]], T]) -> T:
        """Return what ``read`` makes of the reply to a request.

        ``read`` raises FaultyReplyError for a reply that another try may put right.

        Raises:
            ServerError: if the server refuses the request, or fails until patience ends.
        """
        result = self._posted(path, body, read, frozenset())
        if result is None:
            raise ServerError(f"{self.address}{path}: no reply")
        return result

    def post_if_there(
        self, path: str, body: dict[str, object], read: Callable[[dict[str, object]], T]
    ) -> T | None:
        """Return as :meth:`post`; None if the server has nothing at the path.

        Raises:
            ServerError: as :meth:`post`.
        """
        return self._posted(path, body, read, _MISSING)

    def empty_cache(self, path: str) -> None:
        """Ask for an empty cache by a request without a body, again while the server is at work.

        Raises:
            ServerError: as :meth:`post`.
        """
        self._retried(path, lambda: self._content("POST", path, None, retried=_RETRIED | _BUSY))

    def _posted(
        self,
        path: str,
        body: dict[str, object],
        read: Callable[[dict[str, object]], T],
        missing: frozenset[int],
    ) -> T | None:
        def ask() -> T | None:
            document = self._document("POST", path, body, missing)
            return None if document is None else read(document)

        return self._retried(path, ask)

    def _retried(self, path: str, ask: Callable[[], T]) -> T:
        import httpx2

        wait, first_failure, faulty = self._patience.first_wait, None, 0
        while True:
            try:
                return ask()
            except (httpx2.RequestError, FaultyReplyError) as error:
                now = self._patience.clock()
                first_failure = now if first_failure is None else first_failure
                asked = error.seconds if isinstance(error, _RetryLaterError) else None
                faulty += type(error) is FaultyReplyError
                patient = (
                    now - first_failure < self._patience.seconds and faulty < self._patience.replies
                )
                if not patient or self._closing.is_set():
                    given_up = (
                        ServerReplyError if isinstance(error, FaultyReplyError) else ServerError
                    )
                    raise given_up(self._given_up(path, error, now - first_failure)) from error
            except RuntimeError as error:  # the pool was closed by another thread
                if not self._closing.is_set():
                    raise
                raise ServerError(f"{self.address}{path}: stopped") from error
            self._closing.wait(min(asked or wait, _LONGEST_REQUEST_WAIT))
            wait = min(2 * wait, _LONGEST_WAIT)

    def _given_up(self, path: str, error: Exception, seconds: float) -> str:
        cause, name = self.without_key(first_line(error)), type(error).__name__
        if not isinstance(error, FaultyReplyError):  # the names of the client's errors say more
            cause = f"{name}: {cause}" if cause else name
        return f"{self.address}{path}: {cause}; given up after {seconds:.0f} s{self._way}"

    @property
    def _way(self) -> str:
        """Say which proxy requests take, as its errors look like the server's; empty for none."""
        if self._proxy is None:
            return ""
        return f"; asked through the proxy {printable(self._proxy)} (NO_PROXY names exceptions)"

    def _document(
        self, method: str, path: str, body: dict[str, object] | None, missing: frozenset[int]
    ) -> dict[str, object] | None:
        """Return the JSON object of one reply; None for a status among ``missing``."""
        content = self._content(method, path, body, missing=missing)
        if content is None:
            return None
        try:
            return json_object(content.decode("utf-8"), f"{self.address}{path}")
        except (UnicodeDecodeError, DataError) as error:
            raise FaultyReplyError(f"not a JSON object: {first_line(error)}") from error

    def _content(
        self,
        method: str,
        path: str,
        body: dict[str, object] | None,
        *,
        missing: frozenset[int] = frozenset(),
        retried: frozenset[int] = _RETRIED,
    ) -> bytes | None:
        """Return the content of one reply; None for a status among ``missing``."""
        url = f"{self.address}{path}"
        with self._client.stream(method, url, json=body) as response:
            content = _content(response)
            status = response.status_code
            if status in missing:
                return None
            if response.is_redirect:
                target = printable(self.without_key(response.headers.get("location", "?")))
                raise ServerReplyError(
                    f"{url}: is redirected to {target[:_SHOWN]}, which is not followed; give the "
                    f"address itself with --base-url{self._way}"
                )
            text = printable(self.without_key(content.decode(errors="replace")))[:_SHOWN]
            if status in retried:
                raise _RetryLaterError(
                    _status_line(status, text), retry_after(response.headers.get("retry-after"))
                )
            if not response.is_success:
                line = _status_line(status, text)
                raise ServerReplyError(f"{url}: {line}{_advice(status)}{self._way}")
        return content

    def without_key(self, text: str) -> str:
        """Return a text without the key, which a server may repeat in an error."""
        return text.replace(self._key, "***") if self._key else text


def _status_line(status: int, text: str) -> str:
    """Return the status of a reply with its text, if it has any."""
    text = text.strip()
    return f"status {status}: {text}" if text else f"status {status}"


def _proxy_of(address: str) -> str | None:
    """Return the proxy of the environment that an address is asked through; None without one.

    A proxy is not asked for this machine: it would be another machine's address there.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        number = ip_address(host)
    except ValueError:
        is_here = host == "localhost" or host.endswith(".localhost")
    else:
        is_here = number.is_loopback or number.is_unspecified
    if is_here or proxy_bypass(host):
        return None
    return environment_proxy(parts.scheme, "all")


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After``, which is a number or a date; None without one."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(seconds, 0.0) if isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    moment = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _key() -> str:
    """Return the server's key, empty if there is none.

    Raises:
        SettingError: for characters that no key has; they may come from the key's file.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise SettingError(
            f"{KEY_VARIABLE}: has a space, a line break or a character that is not ASCII; set it "
            "to the key alone"
        )
    return key


def _content(response: "httpx2.Response") -> bytes:
    content = bytearray()
    for part in response.iter_bytes():
        content += part
        if len(content) > _MOST_BYTES:
            raise FaultyReplyError(f"longer than {_MOST_BYTES:,} bytes")
    return bytes(content)


def _advice(status: int) -> str:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"; set {KEY_VARIABLE} to its key"
    return ""
