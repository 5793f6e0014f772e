"""The real client of the hub, in networks that answer wrongly or not at all."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmark.models.hub_errors import hub_error

ASK = """
import sys
from benchmark.errors import BenchmarkError
from benchmark.models.location import locate
try:
    locate("owner/name")
except BenchmarkError as error:
    print(error)
"""


def test_a_cache_that_cannot_be_written() -> None:
    """The line has the path, and the variable that decides it."""
    error = NotADirectoryError(20, "Not a directory", "/dev/null/hub")
    assert str(hub_error("o/m", "https://x", None, error)) == (
        "o/m: cannot be fetched: /dev/null/hub: Not a directory; "
        "set HF_HOME to a folder with space that can be written to"
    )


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "set HF_HOME to a folder with space that can be written to"),
        (errno.EROFS, "set HF_HOME to a folder with space that can be written to"),
        (errno.EMFILE, "rerun, or name the folder of a copy instead"),
        (errno.ENETUNREACH, "rerun, or name the folder of a copy instead"),
    ],
)
def test_the_advice_fits_the_error(number: int, advice: str) -> None:
    """Another cache is no remedy for an error that is not about the cache."""
    error = OSError(number, os.strerror(number))
    assert str(hub_error("o/m", "https://x", None, error)) == (
        f"o/m: cannot be fetched: {os.strerror(number)}; {advice}"
    )


class Hub(ThreadingHTTPServer):
    """A server on the loopback interface that answers everything in one way."""

    status = 200


class Answer(BaseHTTPRequestHandler):
    """A page for people, with the server's status."""

    server: Hub

    def do_GET(self) -> None:
        """Answer."""
        body = b"<html>log in</html>"
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # the name that the library calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A running server."""
    with Hub(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _ask(tmp_path: Path, **variables: str) -> str:
    """Return the line that a process with these variables ends with."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **variables,
    }
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True, env=environment
    )
    (line,) = done.stdout.splitlines()
    return line


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, "the proxy ALL_PROXY=socks5://127.0.0.1:9"),
        ({"HTTPS_PROXY": "foo://me:secret@127.0.0.1:9"}, "HTTPS_PROXY=127.0.0.1:9 cannot be used"),
        ({"SSL_CERT_FILE": "/nonexistent"}, "SSL_CERT_FILE=/nonexistent: no such file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_of_the_network_are_named(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    """A proxy or a file of certificates that cannot be used, without the proxy's password."""
    line = _ask(tmp_path, HF_ENDPOINT="https://127.0.0.1:9", **variables)
    assert line.startswith("owner/name: ")
    assert words in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("status", "token", "words"),
    [
        (200, "hf_a", "perhaps with a login page"),
        (200, "hf_a\u2013b", "HF_TOKEN holds a character that no token has"),
        (429, "hf_a", "the hub limits requests (429)"),
        (407, "hf_a", "the proxy wants a login (407)"),
    ],
)
def test_answers_of_a_hub_are_explained(
    hub: Hub, tmp_path: Path, status: int, token: str, words: str
) -> None:
    """A login page, a token that no header can hold, a limit of requests."""
    hub.status = status
    endpoint = f"http://127.0.0.1:{hub.server_address[1]}"
    assert words in _ask(tmp_path, HF_ENDPOINT=endpoint, HF_TOKEN=token)
