"""A hub on the loopback interface, for the real client of huggingface_hub.

It has the parts of the hub's interface that fetching a model takes: the commit of a revision, the
list of files, and the files themselves, in ranges too. A repository may be gated, and a file may
break off or wait in its middle.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeRepository:
    """The files of a repository by name; a gated one shows them and hands out none."""

    files: Mapping[str, bytes]
    gated: bool = False


@dataclass
class FakeHub:
    """Repositories by identifier, and what was asked for.

    Attributes:
        repositories: what the hub has.
        requests: the method and path of every request, in order.
        breaking: files that break off in the middle, each as often as its number says.
        reached: set when a file in ``waiting`` was sent half.
        waiting: files that stop in the middle until ``proceed`` is set.
        proceed: lets them go on.
    """

    repositories: dict[str, FakeRepository] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    breaking: dict[str, int] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    reached: threading.Event = field(default_factory=threading.Event)
    proceed: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def endpoint(self) -> str:
        """The value of ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self.port}"

    def fetched(self, end: str) -> list[str]:
        """Return the paths of files that were asked for, and end in that way."""
        return [path for method, path in self.requests if method == "GET" and path.endswith(end)]


@contextmanager
def running(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve the hub until the end of the block."""

    class Handler(_Handler):
        fake = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hub.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        hub.proceed.set()
        server.shutdown()


def point_client_at(hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub ask this hub in this process, as HF_ENDPOINT and HF_HOME do in others."""
    template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.fake.requests.append((self.command, path))
        if path.startswith("/api/models/"):
            self._describe(path.removeprefix("/api/models/").split("/"))
        else:
            self._send_file(path.strip("/").split("/"))

    do_HEAD = do_GET  # noqa: N815  # the name that the library calls

    def _describe(self, parts: list[str]) -> None:
        name = "/".join(parts[:2])
        if (repository := self.fake.repositories.get(name)) is None:
            self._refuse(404, "RepoNotFound")
        elif parts[2:3] == ["tree"]:
            self._json(
                [
                    {"type": "file", "path": path, "size": len(text), "oid": sha1(text).hexdigest()}  # noqa: S324
                    for path, text in repository.files.items()
                ]
            )
        else:
            siblings = [{"rfilename": path} for path in repository.files]
            self._json({"id": name, "sha": COMMIT, "siblings": siblings, "tags": []})

    def _send_file(self, parts: list[str]) -> None:
        repository = self.fake.repositories.get("/".join(parts[:2]))
        file = "/".join(parts[4:])
        if repository is None:
            self._refuse(404, "RepoNotFound")
        elif repository.gated:
            self._refuse(403, "GatedRepo")
        elif file not in repository.files:
            self._refuse(404, "EntryNotFound")
        else:
            self._content(file, repository.files[file])

    def _content(self, file: str, content: bytes) -> None:
        start = 0
        if ranged := self.headers.get("Range"):
            start = int(ranged.removeprefix("bytes=").partition("-")[0])
        body = content[start:]
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{sha1(content).hexdigest()}"')  # noqa: S324
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fake.breaking.get(file, 0):
            self.fake.breaking[file] -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            self.connection.close()
            return
        if file in self.fake.waiting:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.fake.reached.set()
            self.fake.proceed.wait(60)
            body = body[len(body) // 2 :]
        self.wfile.write(body)

    def _json(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
