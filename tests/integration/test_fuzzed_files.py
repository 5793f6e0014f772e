"""Readers are given damaged and hostile files, and raise only errors of one line.

Each reader starts from a file that the benchmark wrote or that its documents show. Mutations cut,
double, replace and overwrite pieces of it, with content that has broken readers before: control
characters, numbers out of range, deep nesting, other encodings. What is packed is changed before it
is packed, too, so that its checksum is right. ``FUZZ_EXAMPLES`` is the number of files per reader
and ``FUZZ_SECONDS`` the time; the nightly workflow sets both higher.
"""

import ast
import gzip
import io
import json
import lzma
import os
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pyzipper
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from benchmark.boxes.archive import MEMBER, read_archive
from benchmark.boxes.dataset import read_file, rows
from benchmark.boxes.vocabulary import default_vocabulary, read_vocabulary
from benchmark.cli.app import app
from benchmark.cli.settings_file import read_settings
from benchmark.controls.recipe import read_recipe
from benchmark.controls.train import ControlTrainer
from benchmark.decoding.speculative import kept_trials
from benchmark.errors import BenchmarkError
from benchmark.fingerprints import storage
from benchmark.fingerprints.storage import read_fingerprint, write_fingerprint
from benchmark.fingerprints.summary import read_comparison
from benchmark.gate.logs import read_log
from benchmark.gate.pairing import pair_logs
from benchmark.gpu_proof.report import StageReport, read_report
from benchmark.history.entries import Entry, read_history
from benchmark.history.trends import evaluate
from benchmark.models import digests
from benchmark.models.bos import bos_rule
from benchmark.models.checkpoint_checks import check_configuration
from benchmark.models.configuration_checks import check_settings
from benchmark.models.conversions import Conversion
from benchmark.models.folder_checks import check_no_pointer
from benchmark.models.gguf_layout import check_gguf_layout
from benchmark.models.location import Location
from benchmark.models.model_files import weight_files
from benchmark.models.registry import read_registry, registry
from benchmark.models.stored_tensors import stored_tensors
from benchmark.models.token_id_checks import check_ids
from benchmark.models.tokenizer_loading import _tokenizer_class
from benchmark.models.validation import validate
from benchmark.pytest_plugin.known_failures import KnownFailures
from benchmark.pytest_plugin.snapshots.fingerprints import _blessings
from benchmark.reading.documents import read_json, read_toml
from benchmark.reproduction.ray_cluster import _known_runs
from benchmark.reproduction.ray_worker import run_files
from benchmark.reproduction.stored_runs import read_store
from benchmark.reproduction.verdicts import _stored
from benchmark.runs.certify import run_settings
from benchmark.runs.model_store import _is_same
from benchmark.runs.requests import RunRequest
from benchmark.runs.store.predictions_file import PredictionsFile
from benchmark.runs.store.results import read_results
from benchmark.runs.store.run_folder import RunFolder
from benchmark.runs.store.runs import read_runs
from benchmark.scoring.predictions import prediction_line, read_answers, read_predictions
from benchmark.upgrades.workbench import _stored_failure
from fakes import eval_logs, finished_runs, gguf_headers
from fakes.command_line import command_line
from fakes.fake_fingerprints import fake_fingerprint, with_changed_stage
from fakes.recipes import TINY_RECIPE

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "copy-a"

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))
"""How many files are given to each reader, and how long it may take; the first limit counts."""

PIECES = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    b"\n::error::x\n",
    b"\xed\xa0\x80",
    b"[" * 2000,
    b'{"a":' * 500,
    b"a.b." * 300,
    b"9" * 5000,
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b'"',
    b"{}",
    b"[]",
    b"=1+1",
    b"$x^2$",
    "\u202e".encode(),
    b"\r\n",
)

REGISTRY = """\
[models.mine]
huggingface_id = "owner/mine"
name = "Mine"
architecture = "llama"
size = "1B"
added = []
format = "completion"
paper = false

[models.mine-code]
huggingface_id = "owner/mine-code"
name = "Mine, code"
architecture = "llama"
size = "1B"
added = ["code"]
format = "chat"
paper = false

[[pairs]]
id = "mine-code"
experiment = "code"
base = "mine"
variant = "mine-code"
hypothesis = "gain"
source = "https://example.org"
"""


def _unpacked(content: bytes) -> bytes:
    return content


@dataclass(frozen=True)
class Reader:
    """A reader: the name of its file, the module that reads it, and the call.

    ``pack`` turns the content that is changed into the content of the file.
    """

    file: str
    module: str
    read: Callable[[Path], object]
    pack: Callable[[bytes], bytes] = _unpacked


def _consume(states: Iterator[object]) -> None:
    for _ in states:
        pass


def _zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with pyzipper.AESZipFile(packed, "w", pyzipper.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, content)
    return packed.getvalue()


def _assembled(path: Path) -> None:
    """Read the columns of a record, whose readable part is good."""
    with storage._checked(str(path)):
        document = storage.readable(fake_fingerprint())
        storage.assemble(document, path.read_bytes(), str(path))


def _open_run(path: Path) -> None:
    folder = RunFolder(path.parent, {"model": {"name": "x"}})
    with folder:
        folder.read_predictions()
        folder.read_result()
        folder.read_progress(largest_batch=8)


def _kept_document(path: Path) -> object:
    """Return the document of a kept conversion."""
    conversion = Conversion(MODEL, "weights", {})
    conversion.folder = path.parent
    return conversion.document()


TRIAL = {"backends": ["mkl"], "rows": {"layers": ["3"]}}
"""What a kept trial of matrix products is of."""


def _kept_trial(path: Path) -> object:
    """Return the seconds of a kept trial; None if the file is not one of this key."""
    return kept_trials._read(path, TRIAL)


def _digest(path: Path) -> str:
    """Return the digest of a large file, for which the fuzzed file has a kept one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "_LARGE", 0)
        patch.setattr(digests, "_kept", lambda _: path)
        return digests.files_digest([MODEL / "config.json"])


def _read_options(path: Path) -> None:
    """Read options of ``run``."""
    group = typer.main.get_command(app)
    verb = getattr(group, "commands", {})["run"]
    read_settings(typer.Context(verb), path)


def _at(path: Path) -> Location:
    """Return the place of a model whose folder has the fuzzed file."""
    return Location("m", path.parent, None, "0123")


def _check_control(path: Path) -> None:
    ControlTrainer(read_recipe(TINY_RECIPE), path.parent, 0, print)._check(path.parent, "copy")


def _paired(path: Path, cluster: str | None = None) -> object:
    """Pair a log with itself, as the gate does."""
    log = read_log(path, cluster)
    return pair_logs(log, log)


def _gate_run(path: Path) -> object:
    """Compare a run with itself, whose predictions are good."""
    state = finished_runs.first_states(1)[0]
    line = prediction_line(state.description, "Statement: Box 0 contains nothing")
    path.with_name("predictions.jsonl").write_text(line)
    return _paired(path.parent)


def _zipped_log(content: bytes) -> bytes:
    """Return an archive of Inspect whose only sample has this content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", '{"eval": {"task": "t"}}')
        archive.writestr("samples/1_epoch_1.json", content)
    return packed.getvalue()


READERS = {
    "dataset": Reader("data.jsonl", "boxes/dataset.py", lambda path: _consume(read_file(path))),
    "predictions": Reader("predictions.jsonl", "scoring/predictions.py", read_predictions),
    "run's tokens": Reader("predictions.jsonl", "scoring/predictions.py", read_answers),
    "vocabulary": Reader("vocabulary.csv", "boxes/vocabulary.py", read_vocabulary),
    "archive": Reader(
        "data.zip", "boxes/archive.py", lambda path: _consume(read_archive(path, None))
    ),
    "archive's data": Reader(
        "data.zip", "boxes/archive.py", lambda path: _consume(read_archive(path, None)), _zipped
    ),
    "registry": Reader("registry.toml", "models/registry.py", read_registry),
    "known failures": Reader(
        "known_failures.toml",
        "pytest_plugin/known_failures.py",
        lambda path: validate(KnownFailures, read_toml(path), str(path)),
    ),
    "recipe": Reader("recipe.toml", "controls/recipe.py", read_recipe),
    "control": Reader("recipe.json", "controls/train.py", _check_control),
    "fingerprint": Reader("record.json", "fingerprints/storage.py", read_fingerprint),
    "packed fingerprint": Reader("record.json.gz", "fingerprints/storage.py", read_fingerprint),
    "packed fingerprint's text": Reader(
        "record.json.gz", "fingerprints/storage.py", read_fingerprint, gzip.compress
    ),
    "columns": Reader("record.columns.xz", "fingerprints/columns.py", _assembled),
    "columns' arrays": Reader(
        "record.columns.xz", "fingerprints/columns.py", _assembled, lzma.compress
    ),
    "comparison": Reader(
        "drift.json",
        "report/gather.py",
        lambda path: read_comparison(read_json(path), path),
    ),
    "results": Reader(
        "result.json", "runs/store/results.py", lambda path: read_results(path.parent, registry())
    ),
    "runs": Reader(
        "result.json", "runs/store/runs.py", lambda path: read_runs([path.parent], registry())
    ),
    "run's predictions": Reader(
        "predictions.jsonl",
        "runs/store/predictions_file.py",
        lambda path: PredictionsFile(path).read(None, finished=False),
    ),
    "run": Reader("run.json", "runs/store/run_folder.py", _open_run),
    "certified run": Reader("run.json", "runs/certify.py", lambda path: run_settings(path.parent)),
    "merged run": Reader(
        "run.json", "reproduction/stored_runs.py", lambda path: read_store(path.parent)
    ),
    "judged result": Reader(
        "result.json", "reproduction/verdicts.py", lambda path: _stored(path.parent)
    ),
    "run that is sent": Reader(
        "run.json", "reproduction/ray_worker.py", lambda path: run_files(path.parent)
    ),
    "run that may be sent": Reader(
        "run.json",
        "reproduction/ray_cluster.py",
        lambda path: _known_runs(path.parents[1], RunRequest("x", path)),
    ),
    "progress": Reader("progress.json", "runs/store/run_folder.py", _open_run),
    "stored run": Reader(
        "run.json", "runs/model_store.py", lambda path: _is_same(path.parent, {}, lambda _: False)
    ),
    "kept conversion": Reader("content.json", "models/conversions.py", _kept_document),
    "kept trial": Reader("trial.json", "decoding/speculative/kept_trials.py", _kept_trial),
    "kept digest": Reader("digest.json", "models/digests.py", _digest),
    "tokenizer's settings": Reader(
        "tokenizer_config.json", "models/bos.py", lambda path: bos_rule(path.parent, None)
    ),
    "index of weights": Reader(
        "model.safetensors.index.json",
        "models/model_files.py",
        lambda path: weight_files(path.parent),
    ),
    "weights": Reader("model.safetensors", "models/stored_tensors.py", stored_tensors),
    "architecture": Reader(
        "config.json", "models/checkpoint_checks.py", lambda path: check_configuration(_at(path))
    ),
    "settings": Reader(
        "config.json", "models/configuration_checks.py", lambda path: check_settings(_at(path))
    ),
    "header of GGUF": Reader(
        "m.gguf", "models/gguf_layout.py", lambda path: check_gguf_layout(path, "m")
    ),
    "pointer": Reader(
        "config.json", "models/folder_checks.py", lambda path: check_no_pointer("m", path)
    ),
    "tokenizer's class": Reader(
        "tokenizer_config.json",
        "models/tokenizer_loading.py",
        lambda path: _tokenizer_class(_at(path)),
    ),
    "ids of tokens": Reader(
        "tokenizer.json", "models/token_id_checks.py", lambda path: check_ids("m", path.parent)
    ),
    "blessings": Reader("record.json", "pytest_plugin/snapshots/fingerprints.py", _blessings),
    "options": Reader("settings.toml", "cli/settings_file.py", _read_options),
    "proof's report": Reader("widened.json", "gpu_proof/report.py", read_report),
    "kept failure": Reader("failed.txt", "upgrades/workbench.py", _stored_failure),
    "log of lm_eval": Reader(
        "samples_t.jsonl", "gate/lm_eval_logs.py", lambda path: _paired(path, "group")
    ),
    "log of Inspect": Reader("a.eval", "gate/inspect_logs.py", _paired),
    "log of Inspect, packed by Zstandard": Reader("a.eval", "gate/inspect_logs.py", _paired),
    "log of Inspect, a sample": Reader("a.eval", "gate/inspect_logs.py", _paired, _zipped_log),
    "log of Inspect, JSON": Reader("a.json", "gate/inspect_logs.py", _paired),
    "log of lighteval": Reader("details_t.parquet", "gate/lighteval_logs.py", _paired),
    "history": Reader(
        "h.jsonl", "history/entries.py", lambda path: evaluate(read_history(path)).as_json()
    ),
    "run for the gate": Reader("result.json", "gate/own_logs.py", _gate_run),
}

NO_FILES = {
    "cli/app.py",  # sets the bounds
    "decoding/external/http_client.py",  # parses replies; tests/integration/test_server_engine.py
    "fingerprints/hub_folder.py",  # rewrites settings that it has just unpacked from an archive
    "gpu_proof/suite.py",  # reads results of a run that it started, and snapshots
    "models/byte_level_vocabularies.py",  # reads files whose digest is that of the table of sources
    "models/gguf_tokenizer.py",  # this and the next parse the text of a loaded tokenizer
    "models/tokenizer.py",
    "pytest_plugin/snapshots/extension.py",  # these parse snapshots, which syrupy has read
    "pytest_plugin/snapshots/pairs.py",
    "pytest_plugin/snapshots/tokenizers.py",
    "reproduction/merging.py",  # copies files of runs that reproduction/stored_runs.py has read
    "upgrades/venv_overlays.py",  # reads a text of its own as upgrades/workbench.py does
}
"""Modules that use :mod:`benchmark.reading`, but have no file of others to read."""


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Good content for each reader."""
    place = tmp_path_factory.mktemp("seeds")
    return {
        **_inputs(),
        **_runs(place),
        **_model_files(place),
        **_fingerprint_files(place),
        **_logs(place),
        **_own_files(place),
    }


def _inputs() -> dict[str, bytes]:
    """Return data sets, predictions of other programs, and files of settings."""
    states = finished_runs.first_states(3)
    data = "".join(f"{row}\n" for state in states for row in rows(state)).encode()
    predictions = [{"input": f"text {n}", "prediction": "Statement: Box 0"} for n in range(4)]
    tokens = ({**line, "token_ids": [3, 4], "finished": True} for line in predictions)
    return {
        "dataset": data,
        **dict.fromkeys(
            ("predictions", "run's predictions"),
            "".join(f"{json.dumps(line)}\n" for line in predictions).encode(),
        ),
        "run's tokens": "".join(f"{json.dumps(line)}\n" for line in tokens).encode(),
        "vocabulary": ("object_name\n" + "\n".join(default_vocabulary()) + "\n").encode(),
        "archive": _zipped(data),
        "archive's data": data,
        "registry": REGISTRY.encode(),
        "known failures": b'[[failures]]\ntest = "test_a.py::test_b"\nreason = "c"\n',
        "recipe": TINY_RECIPE.read_bytes(),
        "options": b'states = 4\nprotocol = "paper"\n',
    }


def _runs(place: Path) -> dict[str, bytes]:
    """Return the files of finished and unfinished runs."""
    states = finished_runs.first_states(13)
    run = finished_runs.write_run(place / "run", "owner/mine", states, finished_runs.mixed_answer)
    result = (run / "result.json").read_bytes()
    settings = {"engine": "outlines", "max_new_tokens": 256, "dtype": "float32"}
    document = {"protocol": settings, "prompts": {"sha256": "0"}, "data": {"task": "boxes"}}
    identity = json.dumps({"model": {"name": "x"}}).encode()
    notes = {"batch_sizes": [4, 2], "timing": {"decoded_states": 4, "seconds": 1.5, "starts": 1}}
    return {
        "certified run": json.dumps(document).encode(),
        "merged run": json.dumps({**document, **json.loads(result)}).encode(),
        **dict.fromkeys(("results", "judged result", "runs", "run for the gate"), result),
        **dict.fromkeys(("run", "run that is sent", "run that may be sent"), identity),
        "stored run": identity,
        "progress": json.dumps(notes).encode(),
    }


def _model_files(place: Path) -> dict[str, bytes]:
    """Return files of models, and what is kept of a conversion."""
    config = (MODEL / "config.json").read_bytes()
    tokenizer = {
        "truncation": {"max_length": 10**7},  # without a large number the ids are not looked at
        "added_tokens": [{"id": 0, "content": "<s>"}],
        "model": {"vocab": {"a": 1, "b": 2}},
    }
    weight_map = {
        "metadata": {},
        "weight_map": {"a": "model.safetensors", "b": "model.safetensors"},
    }
    return {
        "kept conversion": _kept_content(place / "kept"),
        "kept digest": json.dumps({"state": {}, "digest": "0123"}).encode(),
        "tokenizer's settings": (MODEL / "tokenizer_config.json").read_bytes(),
        "index of weights": json.dumps(weight_map).encode(),
        **dict.fromkeys(("architecture", "settings", "pointer"), config),
        "tokenizer's class": (MODEL / "tokenizer_config.json").read_bytes(),
        "ids of tokens": json.dumps(tokenizer).encode(),
        "header of GGUF": gguf_headers.header(),
        "weights": save({name: np.zeros((2, 3), np.float32) for name in "ab"}),
    }


def _own_files(place: Path) -> dict[str, bytes]:
    """Return other files that the benchmark writes for itself."""
    control = ControlTrainer(read_recipe(TINY_RECIPE), place, 0, print)._identity("copy")
    seconds = {"mkl": {"layers": {"3": 0.1}}}
    report = StageReport(place / "widened.json", rehearsal=True, checks={"x": True}).as_json()
    return {
        "control": json.dumps(control).encode(),
        "kept trial": json.dumps({"key": TRIAL, "seconds": seconds}).encode(),
        "blessings": json.dumps({"blessings": [{"reason": "x"}]}).encode(),
        "proof's report": json.dumps(report).encode(),
        "kept failure": b"ImportError: x",
        "history": 2 * Entry("gate", "worse", 4, ("x",), {"acc": 0.5}).line().encode(),
    }


def _logs(place: Path) -> dict[str, bytes]:
    """Return logs of other harnesses."""
    scores = [1.0, 0.0, 1.0]
    samples = eval_logs.inspect_samples(scores)
    return {
        "log of lm_eval": eval_logs.write_lm_eval(place / "l", "t", scores).read_bytes(),
        "log of Inspect": eval_logs.write_inspect(place / "a.eval", "t", scores).read_bytes(),
        "log of Inspect, packed by Zstandard": eval_logs.ZSTANDARD.read_bytes(),
        "log of Inspect, a sample": json.dumps(samples[0]).encode(),
        "log of Inspect, JSON": json.dumps(eval_logs.inspect_log("t", scores)).encode(),
        "log of lighteval": eval_logs.write_lighteval(place / "l", "t", scores).read_bytes(),
    }


def _kept_content(folder: Path) -> bytes:
    """Return the description of a kept conversion."""
    conversion = Conversion(MODEL, "weights", {})
    conversion.folder = folder
    conversion._write({"messages": []}, {"0.bin": b"0"})
    return (folder / "content.json").read_bytes()


def _fingerprint_files(place: Path) -> dict[str, bytes]:
    """Return a record in every form, and a comparison of two."""
    record = fake_fingerprint()
    for name, written in (
        ("record.json", record),
        ("record.json.gz", record),
        ("other.json", with_changed_stage(record, "prompt_ids", (0,))),
    ):
        write_fingerprint(written, place / name)
    drift = place / "drift.json"
    command_line("compare", place / "record.json", place / "other.json", "--json-file", drift)
    columns = (place / "record.columns.xz").read_bytes()
    packed = (place / "record.json.gz").read_bytes()
    return {
        "fingerprint": (place / "record.json").read_bytes(),
        "packed fingerprint": packed,
        "packed fingerprint's text": gzip.decompress(packed),
        "columns": columns,
        "columns' arrays": lzma.decompress(columns),
        "comparison": drift.read_bytes(),
    }


def _reading_modules() -> Iterator[str]:
    """Yield the modules that import something from :mod:`benchmark.reading`."""
    package = ROOT / "benchmark"
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        if path.parent != package / "reading" and any(
            (node.module or "").startswith("benchmark.reading.") for node in imports
        ):
            yield path.relative_to(package).as_posix()


def test_every_reader_is_in_the_table() -> None:
    """A new module that reads files gets a row here."""
    assert {reader.module for reader in READERS.values()} | NO_FILES == {*_reading_modules()}


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, float, float, bytes]]:
    """Draw changes of a file: the kind, the position, the length and the new content."""
    change = st.tuples(
        st.sampled_from(["insert", "replace", "delete", "repeat", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 0.2),
        st.sampled_from(PIECES) | st.binary(max_size=8),
    )
    return draw(st.lists(change, min_size=1, max_size=4))


def mutated(content: bytes, changes: list[tuple[str, float, float, bytes]]) -> bytes:
    """Return the content after these changes."""
    for kind, where, share, piece in changes:
        start = int(where * len(content))
        end = start + max(1, int(share * len(content)))
        middle = {
            "insert": piece + content[start:end],
            "replace": piece,
            "delete": b"",
            "repeat": content[start:end] * 2,
            "cut": b"",
        }[kind]
        content = content[:start] + middle + (b"" if kind == "cut" else content[end:])
    return content


Case = tuple[Path, Reader, bytes]


@pytest.fixture(params=READERS)
def case(request: pytest.FixtureRequest, seeds: dict[str, bytes], tmp_path: Path) -> Case:
    """The path of a reader's file, the reader, and good content."""
    reader = READERS[request.param]
    (tmp_path / "model.safetensors").write_bytes(seeds["weights"])
    return tmp_path / reader.file, reader, seeds[request.param]


def test_the_good_file_is_read(case: Case) -> None:
    """The files that the mutations start from can be read."""
    path, reader, content = case
    path.write_bytes(reader.pack(content))
    if path.name != "record.json":  # its columns are in another file
        reader.read(path)


def test_a_bad_file_is_one_line(case: Case) -> None:
    """The file is read, or one of the project's errors says in one line what is wrong."""
    path, reader, content = case
    end = time.monotonic() + SECONDS

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(changes=mutations())
    def fuzz(changes: list[tuple[str, float, float, bytes]]) -> None:
        if time.monotonic() < end:
            path.write_bytes(reader.pack(mutated(content, changes)))
            _check_one_line(reader, path)

    fuzz()


def _lying_zip() -> bytes:
    """Return an archive whose member says that it has one byte, and has three million."""
    packed = bytearray(_zipped(b"a" * 3_000_000))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = packed.rindex(signature) + offset
        packed[start : start + 4] = struct.pack("<I", 1)
    return bytes(packed)


HOSTILE = {
    "empty": b"",
    "mark": b"\xef\xbb\xbf",
    "zeros": bytes(1000),
    "endless line": b"a" * (2**20 + 2),
    "long number": b"9" * 100_000,
    "long number in an object": b'{"a": ' + b"9" * 100_000 + b"}",
    "deep arrays": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "deep tables": b"x = " + b"[" * 50_000,
    "deep inline tables": b"x = " + b"{a = " * 20_000,
    "dotted keys": b"a" + b".a" * 20_000 + b" = 1",
    "quoted dotted keys": b'"a b"' + b'."a b"' * 8_000 + b" = 1",
    "wide arrays": b"[" + b"[]," * 200_000 + b"[]]",
    "doubled keys": b'{"format": 1, "format": 2}',
    "not a number": b'{"a": NaN, "b": -Infinity, "c": 1e999}',
    "nested archive": _zipped(_zipped(b"{}")),
    "lying archive": _lying_zip(),
    "gzip of gzip": gzip.compress(gzip.compress(b"{}")),
    "two gzips": gzip.compress(b"{}") * 2,
    "two xzs": lzma.compress(b"{}") * 2,
    "surrogates": b'{"model": "\\ud800"}',
    "markup": b'{"a": "\x1b[2J::error::"}\n::error::x\n',
    "utf-16": '{"a": 1}'.encode("utf-16"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line(name: str, tmp_path: Path) -> None:
    """For every reader, and each has a second or two for it."""
    for number, reader in enumerate(READERS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / reader.file
        path.write_bytes(HOSTILE[name])
        start = time.monotonic()
        _check_one_line(reader, path)
        assert time.monotonic() - start < 20, reader.file


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Opening a pipe without a writer would wait for ever; data and predictions may be pipes."""
    pipes = {"data.jsonl", "predictions.jsonl"}
    written = {"fingerprints/columns.py", "models/digests.py"}  # a bare read, a cache
    for number, reader in enumerate(READERS.values()):
        if reader.file in pipes or reader.module in written:
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        os.mkfifo(folder / reader.file)
        _check_one_line(reader, folder / reader.file)


def _check_one_line(reader: Reader, path: Path) -> None:
    assert len(_error(reader, path)) <= 1000


def _error(reader: Reader, path: Path) -> str:
    """Return the message of the project's own error; any other one is raised."""
    try:
        reader.read(path)
    except BenchmarkError as error:
        return str(error)
    return ""
