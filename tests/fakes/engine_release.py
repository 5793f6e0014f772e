"""A release of ``xllamacpp`` that knows some answers: a package of this file and ``kind.txt``.

``kind.txt`` says ``sound``, ``changed`` (the second answer is that of the first prompt) or
``silent`` (it tells no address, as xllamacpp before 0.2.7). Only the standard library is used: it
runs as an engine does, in an environment without others. The answers are in the JSON file that a
variable names.
"""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

VARIABLE = "FAKE_ENGINE_ANSWERS"
_KIND = Path(__file__).with_name("kind.txt")
KIND = _KIND.read_text() if _KIND.exists() else "sound"


class CommonParams(SimpleNamespace):
    """The parameters that are set, with the parts that they are set in."""

    def __init__(self) -> None:
        """Have the parts."""
        parts = {name: SimpleNamespace() for name in ("model", "cpuparams", "cpuparams_batch")}
        super().__init__(hostnames=[], port=0, **parts)


class Server:
    """llama.cpp's server, as far as a run asks it."""

    def __init__(self, parameters: CommonParams) -> None:
        """Serve in a thread."""
        server = ThreadingHTTPServer(("127.0.0.1", parameters.port), _Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        if KIND != "silent":
            self.listening_address = f"http://127.0.0.1:{server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:  # http.server's name
        about = {"default_generation_settings": {"n_ctx": 4096}, "build_info": KIND}
        self._send(200 if self.path == "/props" else 404, about)

    def do_POST(self) -> None:
        known = json.loads(Path(os.environ[VARIABLE]).read_text())
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/detokenize":
            self._send(200, {"content": known["text"]})
            return
        prompts = [prompt for prompt, _ in known["answers"]]
        if body["prompt"] in prompts:
            index = prompts.index(body["prompt"])
            ids = known["answers"][0 if KIND == "changed" else index][1]
        else:
            ids = known["constrained" if "grammar" in body else "free"]
        self._send(
            200,
            {
                "tokens": ids,
                "tokens_evaluated": len(body["prompt"]),
                "stop_type": "eos" if body["prompt"] in prompts else "limit",
            },
        )

    def _send(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
