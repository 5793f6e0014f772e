"""Requests to a server: retried with back-off where that may help, with a key that stays secret."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlsplit

from benchmark.decoding.external.completions import FaultyReplyError
from benchmark.errors import BenchmarkError, DataError, SettingError, first_line
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
_SHOWN = 200


class ServerError(BenchmarkError):
    """A server refuses a request, or does not answer it properly after all retries."""


class _RetryLaterError(FaultyReplyError):
    """A status that asks for another try, after this many seconds if the server says so."""

    def __init__(self, message: str, seconds: float | None) -> None:
        super().__init__(message)
        self.seconds = seconds


def base_url(text: str) -> str:
    """Return the address of a server, without a slash or ``/v1`` at its end.

    Raises:
        SettingError: for an address that is not one of HTTP, or that has a key in it.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # a port may be no number
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise SettingError(f"--base-url {printable(text)[:_SHOWN]}: give http://HOST:PORT")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingError(
            f"--base-url: give http://HOST:PORT without user, key or query; a key is read from "
            f"{KEY_VARIABLE}"
        )
    return text.rstrip("/").removesuffix("/v1").rstrip("/")


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

        Raises:
            SettingError: if the key cannot be one.
        """
        import httpx2

        self.address = address
        self._patience = patience or Patience()
        self._closing = threading.Event()
        self._key = _key()
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx2.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(
                max_connections=connections, max_keepalive_connections=connections
            ),
            # The key would go along, and the answers would be another server's.
            follow_redirects=False,
        )

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
                    raise ServerError(self._given_up(path, error, now - first_failure)) from error
            except RuntimeError as error:  # the pool was closed by another thread
                if not self._closing.is_set():
                    raise
                raise ServerError(f"{self.address}{path}: stopped") from error
            self._closing.wait(min(asked or wait, _LONGEST_REQUEST_WAIT))
            wait = min(2 * wait, _LONGEST_WAIT)

    def _given_up(self, path: str, error: Exception, seconds: float) -> str:
        cause = self.without_key(first_line(error) or type(error).__name__)
        return (
            f"{self.address}{path}: {type(error).__name__}: {cause}; given up after "
            f"{seconds:.0f} s; finished answers are kept, rerun to resume"
        )

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
                raise ServerError(
                    f"{url}: is redirected to {target[:_SHOWN]}, which is not followed; give the "
                    "address itself with --base-url"
                )
            text = printable(self.without_key(content.decode(errors="replace")))[:_SHOWN]
            if status in retried:
                raise _RetryLaterError(
                    f"status {status}: {text}", retry_after(response.headers.get("retry-after"))
                )
            if not response.is_success:
                raise ServerError(f"{url}: status {status}: {text}{_advice(status)}")
        return content

    def without_key(self, text: str) -> str:
        """Return a text without the key, which a server may repeat in an error."""
        return text.replace(self._key, "***") if self._key else text


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
