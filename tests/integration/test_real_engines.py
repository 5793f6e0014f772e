"""vLLM's build for CPUs and llama.cpp, offline and as servers: answers and certificates.

They need the environment of ``make speed-engines`` and minutes: ``nox -s engines`` runs them.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest

from benchmark.decoding.external.launch import engines_folder
from benchmark.decoding.external.server_kinds import (
    CompletionRequest,
    LlamaCpp,
    ServerFacts,
    ServerKind,
    Vllm,
)
from benchmark.models.downloads import source
from benchmark.tasks import DEFAULT, task_named
from fakes.command_line import command_line
from fakes.control_gguf import write_control_gguf
from fakes.fault_server import CHAT_TEMPLATE

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "track"
STATES = 8
SECONDS = 300
"""How long a server may take to start."""

PYTHON = engines_folder() / "bin" / "python"

pytestmark = [
    pytest.mark.skipif("TEST_ENGINES" not in os.environ, reason="real engines: nox -s engines"),
    pytest.mark.skipif(not PYTHON.exists(), reason="no vLLM and llama.cpp: make speed-engines"),
]

Serve = Callable[..., str]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx2.get(f"{url}/health").is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a server with these words and returns its address."""
    with ExitStack() as stack:

        def start(*words: str | Path, port: int, **variables: str) -> str:
            log = tmp_path / f"server-{port}.log"
            process = subprocess.Popen(  # noqa: S603
                [str(PYTHON), *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=stack.enter_context(log.open("ab")),
                stderr=subprocess.STDOUT,
                env={**os.environ, "HF_HUB_OFFLINE": "1", **variables},
                start_new_session=True,
            )
            stack.enter_context(process)  # closes its pipe, after it was killed
            stack.callback(_kill, process.pid)
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, log)
            PROCESSES[url] = process.pid
            return url

        yield start


PROCESSES: dict[str, int] = {}


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _llama(serve: Serve, file: Path, port: int) -> str:
    module = "benchmark.decoding.external.llama_cpp_server"
    return serve("-m", module, file, "--port", str(port), port=port, PYTHONPATH=str(ROOT))


def _vllm(serve: Serve, *more: str) -> str:
    port = _free_port()
    return serve(
        *("-m", "vllm.entrypoints.openai.api_server", "--model", MODEL, "--host", "127.0.0.1"),
        *("--port", str(port), "--dtype", "float32", "--max-model-len", "1024"),
        *("--generation-config", "vllm", "--served-model-name", "track", "--enforce-eager"),
        *("--structured-outputs-config.backend", "xgrammar", *more),
        port=port,
        VLLM_CPU_KVCACHE_SPACE="1",
    )


def _run(out: Path, *options: str, states: int = STATES) -> None:
    common = ("--model", MODEL, "--device", "cpu", "--states", str(states), "--out", out)
    done = command_line("run", *common, *options)
    assert done.returncode == 0, done.stderr


def _certify(out: Path) -> int:
    return command_line("certify", out, "--reference", MODEL, "--device", "cpu").returncode


def _texts(out: Path) -> str:
    return (out / "predictions.jsonl").read_text()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The predictions of the project's own engine."""
    out = tmp_path_factory.mktemp("own")
    _run(out)
    return _texts(out)


@pytest.mark.parametrize("ranks", [1, 2])
def test_vllm_offline(expected: str, tmp_path: Path, ranks: int) -> None:
    """With one rank and with two its tokens are those of the own engine, and certified."""
    _run(tmp_path / "run", "--engine", "vllm", "--tensor-parallel", str(ranks))
    assert _texts(tmp_path / "run") == expected
    assert _certify(tmp_path / "run") == 0


def test_vllm_server(serve: Serve, expected: str, tmp_path: Path) -> None:
    """It is recognized, keeps the constraint, and is certified."""
    _run(tmp_path / "run", "--engine", "server", "--base-url", _vllm(serve))
    assert _texts(tmp_path / "run") == expected
    assert _certify(tmp_path / "run") == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["engine"]["kind"] == "vllm"


def test_llama_cpp_server(serve: Serve, expected: str, tmp_path: Path) -> None:
    """With the model's own numbers its tokens are certified; in 4 bits they are not."""
    for quantized in (False, True):
        file = write_control_gguf(MODEL, tmp_path / f"{quantized}.gguf", quantized=quantized)
        out = tmp_path / f"run-{quantized}"
        url = _llama(serve, file, _free_port())
        _run(out, "--engine", "server", "--base-url", url)
        assert (_texts(out) == expected) is not quantized
        assert _certify(out) == 4 * quantized


def test_a_server_that_is_killed_and_started_again(
    serve: Serve, expected: str, tmp_path: Path
) -> None:
    """The run waits for it, loses nothing and doubles nothing."""
    file = write_control_gguf(MODEL, tmp_path / "m.gguf", quantized=False)
    port, out = _free_port(), tmp_path / "run"
    url = _llama(serve, file, port)
    words = ("run", "--model", MODEL, "--device", "cpu", "--states", str(STATES), "--out", out)
    options = ("--engine", "server", "--base-url", url, "--concurrency", "1")
    running = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "benchmark", *map(str, (*words, *options))],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    predictions = out / "predictions.jsonl"
    while not predictions.exists() or not predictions.read_bytes().count(b"\n"):
        assert running.poll() is None
        time.sleep(0.01)
    _kill(PROCESSES[url])
    time.sleep(1)
    assert running.poll() is None
    _llama(serve, file, port)
    _, error = running.communicate(timeout=SECONDS)
    assert running.returncode == 0, error
    assert _texts(out) == expected


def test_checks_of_vllm(serve: Serve) -> None:
    """Offline and as a server it is invariant, and its rendering is ours.

    While decoding, the build for CPUs is off by thousandths of a nat (docs/engines.md).
    """
    url = _vllm(serve)
    for where in (("--engine", "vllm"), ("--engine", "server", "--base-url", url)):
        for check, statuses in (("invariance", {0}), ("decode-prefill", {0, 3})):
            options = ("--states", "4", "--device", "cpu", "--dtype", "float32", "--json", *where)
            done = command_line("check", check, MODEL, *options)
            assert done.returncode in statuses, done.stdout + done.stderr
            assert json.loads(done.stdout)["largest"] < 0.02
    assert command_line("check", "rendering", MODEL, "--base-url", url).returncode == 0


def _rendering(model: Path, url: str, *options: str) -> tuple[int, list[str]]:
    """Return the exit status of the check, and what it notes."""
    words = ("--base-url", url, "--states", "2", "--json", *options)
    done = command_line("check", "rendering", model, *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["notes"]


def _chat_model(folder: Path, template: str) -> Path:
    """Return the control with a chat template."""
    shutil.copytree(MODEL, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def _renders_only(serve: Serve, model: Path) -> str:
    port = _free_port()
    module = "vllm.entrypoints.launchers.render.entry"
    words = ("-m", module, "--model", model, "--host", "127.0.0.1", "--port", str(port))
    return serve(*words, port=port)


def test_rendering_by_vllm(serve: Serve, tmp_path: Path) -> None:
    """Its endpoints for text and chats make our ids, with weights and without.

    It puts no BOS before a chat whose template writes none; a run does if the tokenizer does.
    """
    model = _chat_model(tmp_path / "chat", "{{ bos_token }}" + CHAT_TEMPLATE)
    template = ("--chat-template", str(model / "chat_template.jinja"))
    for url in (_vllm(serve, *template), _renders_only(serve, model)):
        assert _rendering(model, url, "--kind", "vllm") == (0, [])
        assert _rendering(model, url, "--kind", "vllm", "--prompt-format", "chat") == (0, [])
    without = _chat_model(tmp_path / "without", CHAT_TEMPLATE)
    status, notes = _rendering(without, _renders_only(serve, without), "--prompt-format", "chat")
    assert status == 4
    assert notes == ["the server leaves out the first token of the prompt, such as a BOS"]


def test_rendering_by_llama_cpp(serve: Serve) -> None:
    """SmolLM2's file has a tokenizer and a template of its own, which make our ids."""
    if not (smollm := source("smollm2")).present:
        pytest.skip(f"SmolLM2 is missing; get it with: {smollm.command}")
    (file,) = smollm.folder.glob("*.gguf")
    url = _llama(serve, file, _free_port())
    assert _rendering(file, url) == (0, [])
    assert _rendering(file, url, "--prompt-format", "chat") == (0, [])


@pytest.mark.parametrize("kind", [Vllm(), LlamaCpp()], ids=lambda kind: kind.name)
def test_prefix_caches(serve: Serve, tmp_path: Path, kind: ServerKind) -> None:
    """A prompt that was asked for before is cached, and is not with the fields of a check."""
    if kind.name == "vllm":
        url = _vllm(serve, "--enable-prompt-tokens-details", "--enable-prefix-caching")
    else:
        file = write_control_gguf(MODEL, tmp_path / "m.gguf", quantized=False)
        url = _llama(serve, file, _free_port())
    prompt = tuple(2 + number % 50 for number in range(400))

    def cached(**more: object) -> int:
        body = kind.body(CompletionRequest(prompt, 1, None), ServerFacts(None, "track")) | more
        reply = httpx2.post(f"{url}{kind.path}", json=body, timeout=SECONDS).json()
        if kind.name == "llama.cpp":
            return int(reply["timings"]["cache_n"])
        details = reply["usage"]["prompt_tokens_details"] or {}
        return int(details.get("cached_tokens") or 0)

    assert cached() == 0
    assert cached() > 0
    assert cached(**kind.uncached("one")) == 0
    assert cached(**kind.uncached("two")) == 0
    if kind.name == "vllm":  # the salt of an arrangement lets its own prompts share a prefix
        assert cached(**kind.uncached("two")) > 0


@pytest.mark.parametrize("probe", ["vllm", "llama.cpp"])
def test_fingerprints(probe: str, tmp_path: Path) -> None:
    """Two records of an engine are the same; only vLLM's have log-probabilities."""
    model: Path = MODEL
    if probe == "llama.cpp":
        model = tmp_path / "model"
        model.mkdir()
        write_control_gguf(MODEL, model / "track.gguf", quantized=False)
        for path in MODEL.glob("tokenizer*.json"):
            (model / path.name).write_bytes(path.read_bytes())
    paths = tmp_path / "one.json", tmp_path / "two.json"
    for path in paths:
        options = ("--probe", probe, "--states", "2", "--device", "cpu", "--out", path)
        assert command_line("fingerprint", model, *options).returncode == 0
    assert ("logits" in json.loads(paths[0].read_text())["stages"]) is (probe == "vllm")
    assert command_line("compare", *paths).returncode == 0


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="no lm_eval: nox -s engines")
def test_lm_eval_under_the_constraint(serve: Serve, expected: str, tmp_path: Path) -> None:
    """The exported task, asked of a vLLM server by lm_eval's own options, has the same texts."""
    arguments = (
        f"model=track,base_url={_vllm(serve)}/v1/completions,tokenizer={MODEL},"
        "tokenizer_backend=huggingface,tokenized_requests=True,add_bos_token=True,num_concurrent=4"
    )
    generation = {
        "structured_outputs": {"regex": task_named(DEFAULT).expression},
        "max_gen_toks": 256,
        "temperature": 0,
    }
    done = subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-m", "lm_eval", "run", "--tasks", "entity_tracking_boxes"),
            *("--include_path", str(ROOT / "benchmark" / "export" / "harness")),
            *("--model", "local-completions", "--model_args", arguments),
            *("--gen_kwargs", json.dumps(generation)),
            *("--metadata", json.dumps({"states": STATES}), "--log_samples"),
            *("--output_path", str(tmp_path / "out")),
        ],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    texts = sorted(row["resps"][0][0] for row in rows)
    assert texts == sorted(json.loads(line)["prediction"] for line in expected.splitlines())


@pytest.mark.skipif(find_spec("inspect_ai") is None, reason="no inspect_ai: nox -s engines")
def test_inspect_under_the_constraint(serve: Serve, expected: str, tmp_path: Path) -> None:
    """Inspect asks the chat endpoint, whose template leaves the prompt as it is."""
    url = _vllm(serve, "--chat-template", "{{ bos_token }}{{ messages[0].content }}")
    config = tmp_path / "config.json"
    regex = {"structured_outputs": {"regex": task_named(DEFAULT).expression}}
    config.write_text(json.dumps({"extra_body": regex, "temperature": 0, "max_tokens": 256}))
    task = ROOT / "benchmark" / "export" / "harness" / "inspect_task.py"
    done = subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-m", "inspect_ai", "eval", f"{task}@entity_tracking_boxes"),
            *("--model", "openai-api/local/track", "--model-base-url", f"{url}/v1"),
            *("--generate-config", str(config), "-T", f"states={STATES}"),
            *("--log-dir", str(tmp_path / "logs"), "--log-format", "json"),
        ],
        cwd=ROOT,
        env={**os.environ, "LOCAL_API_KEY": "none", "PYTHONPATH": str(ROOT)}
        | {"INSPECT_DISPLAY": "plain"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.json")
    samples = json.loads(log.read_text())["samples"]
    texts = sorted(sample["output"]["choices"][0]["message"]["content"] for sample in samples)
    assert texts == sorted(json.loads(line)["prediction"] for line in expected.splitlines())
