"""Every command that writes, with small inputs: for faults of storage and for kills.

What needs a network, minutes or other processes is replaced by its fake in the process that is
killed: environments of releases, engines' processes, downloads.
"""

import hashlib
import importlib
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from fakes import eval_logs, fake_fingerprints, finished_runs, forked, injected
from fakes.recipes import TINY_RECIPE

Tree = Mapping[str, bytes]
Content = bytes

ROOT = Path(__file__).parents[2]
CONTROLS = ROOT / "fixtures" / "models"
MODEL = str(CONTROLS / "copy-a")
OTHER = str(CONTROLS / "track")
_CREATED = re.compile(rb"Created [\d-]+ [\d:]+ UTC")
_FEW = ("--states", "2", "--batch-size", "1")


def _nothing(_: Path) -> None:
    pass


@dataclass(frozen=True)
class Command:
    """A command that writes.

    ``old`` and ``new`` are two calls with the same outputs; in both ``{}`` is the working folder.
    ``outputs`` are the files and folders that are replaced by one rename each. With ``grows`` they
    are written piece by piece, and a call after a kill goes on. ``prepare`` gets the working folder
    in the process of the command. A ``slow`` one takes seconds.
    """

    new: tuple[str, ...]
    outputs: tuple[str, ...]
    old: tuple[str, ...] = ()
    grows: bool = False
    prepare: Callable[[Path], None] = field(default=_nothing)
    slow: bool = False


def fake_environments(place: Path) -> None:
    """Replace environments of releases; token ids change with numpy 1.3."""
    from benchmark.fingerprints import tokenizers
    from benchmark.upgrades import probes, releases, requirements, workbench
    from fakes.fake_bench import fake_bench

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        return {"prompt_ids": str(libraries.get("numpy", "1.0") >= "1.3")}

    def create(probe: probes.Probe, say: probes.Say, *, retry: bool = False) -> object:
        bench, _ = fake_bench(place / "probes", stages)
        bench.probe, bench.say = probe, say
        bench.remove_leftovers()  # as the function does that this one replaces
        return bench

    _set(workbench, "workbench", create)
    _set(requirements, "check_range", lambda *_: None)
    _set(releases, "releases", lambda name, **_: ("1.0", "1.1", "1.2", "1.3", "2.0", "2.1"))
    _set(tokenizers, "fetched_families", tuple)


def fake_stages(_: Path) -> None:
    """Replace the processes of stages."""
    from benchmark.gpu_proof import run
    from benchmark.gpu_proof.plan import Stage
    from benchmark.gpu_proof.report import StageReport

    def run_stage(name: str, _: Stage, out: Path, *, rehearsal: bool) -> StageReport:
        report = StageReport(out / f"{name}.json", rehearsal)
        report.check("something holds", holds=True)
        report.end(1.0)
        return report

    _set(run, "run_stage", run_stage)


def fake_processes(_: Path) -> None:
    """Replace the processes of engines."""
    from benchmark.speed import engine_pool
    from fakes.fake_engines import FakeEngines

    _set(engine_pool, "EngineProcess", FakeEngines().process)


def fake_registry(place: Path) -> None:
    """Replace the download of a tokenizer's package, and the tokenizer."""
    from benchmark.fingerprints import hub_folder
    from benchmark.models import downloads
    from fakes.tiny_tokenizer import tiny_tokenizer

    contents = {name: name.encode() * 5000 for name in ("one.json", "two.json")}
    files = tuple(
        downloads.SourceFile((name,), name, hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    )
    source = replace(downloads.sources()["deepseek-llm"], files=files)

    def download(_: object, folder: Path) -> list[Path]:
        with zipfile.ZipFile(folder / "package.zip", "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return [folder / "package.zip"]

    from benchmark.models import cache_folder, conversions

    _set(downloads, "sources", lambda: {source.name: source})
    _set(downloads, "_download", download)
    for module in (downloads, cache_folder, conversions):
        _set(module, "cache_folder", lambda: place / "cache")
    _set(hub_folder, "load_source_tokenizer", lambda _: tiny_tokenizer())


def _set(module: object, name: str, value: object) -> None:
    """Replace a name for the rest of the process, which is forked."""
    setattr(module, name, value)


COMMANDS = {
    "generate": Command(
        ("generate", "--split", "dev", "--subsample", "--out", "{}/data.jsonl"),
        ("data.jsonl",),
        ("generate", "--split", "dev", "--subsample", "--seed", "1", "--out", "{}/data.jsonl"),
    ),
    "run": Command(
        ("run", "-q", "--model", MODEL, "--states", "5", "--batch-size", "2", "--out", "{}/r"),
        ("r",),
        grows=True,
        slow=True,
    ),
    "pair": Command(
        ("pair", MODEL, OTHER, *_FEW, "-q", "--store", "{}/s"), ("s",), grows=True, slow=True
    ),
    "reproduce": Command(
        (
            *("reproduce", "--registry", str(CONTROLS / "registry.toml"), "--device", "cpu", *_FEW),
            *("--only", "copy-b", "--store", "{}/s"),
        ),
        ("s",),
        grows=True,
        slow=True,
    ),
    "merge": Command(
        ("merge", "{}/part", "{}/whole", "--out", "{}/merged"),
        ("merged/model-df096b2a1fb1",),  # the store's name for the run of both
        ("merge", "{}/part", "--out", "{}/merged"),
    ),
    "prompt-format": Command(
        ("prompt-format", "--model", "{}/chat", *_FEW, "--store", "{}/s"),
        ("s",),
        grows=True,
        slow=True,
    ),
    "sensitivity": Command(
        ("sensitivity", "--model", MODEL, "--states", "1", "--store", "{}/s"),
        ("s",),
        grows=True,
        slow=True,
    ),
    "ablation": Command(
        ("ablation", "--model", MODEL, *_FEW, "--store", "{}/s"), ("s",), grows=True, slow=True
    ),
    "fingerprint": Command(
        ("fingerprint", MODEL, "--states", "2", "--out", "{}/f.json"),
        ("f.json",),
        ("fingerprint", MODEL, "--states", "1", "--out", "{}/f.json"),
        slow=True,
    ),
    "compare": Command(
        ("compare", "{}/a.json", "{}/b.json", "--json-file", "{}/c.json", "--junit", "{}/c.xml"),
        ("c.json", "c.xml"),
        ("compare", "{}/a.json", "{}/a.json", "--json-file", "{}/c.json", "--junit", "{}/c.xml"),
    ),
    "gate": Command(
        ("gate", "{}/old.eval", "{}/new.eval", "--json-file", "{}/g.json", "--junit", "{}/g.xml"),
        ("g.json", "g.xml"),
        ("gate", "{}/old.eval", "{}/old.eval", "--json-file", "{}/g.json", "--junit", "{}/g.xml"),
    ),
    "history": Command(
        ("history", "{}/watch.jsonl", "--page", "{}/h.html", "--json-file", "{}/h.json"),
        ("h.html", "h.json"),
    ),
    "bisect": Command(
        ("bisect", "numpy", "1.0", "2.1", "--probe", "tokenizers", "--json-file", "{}/bisect.json"),
        ("bisect.json",),
        ("bisect", "numpy", "1.0", "1.2", "--probe", "tokenizers", "--json-file", "{}/bisect.json"),
        prepare=fake_environments,
    ),
    "canary": Command(
        ("canary", "numpy==1.3", "--json-file", "{}/canary.json", "--report", "{}/canary.md"),
        ("canary.json", "canary.md"),
        ("canary", "numpy==1.2", "--json-file", "{}/canary.json", "--report", "{}/canary.md"),
        prepare=fake_environments,
    ),
    "migrate": Command(("migrate", "{}/old.json.gz"), ("old.json.gz",)),
    "fetch": Command(
        ("fetch", "deepseek-llm", "--hub-folder", "{}/hub"),
        ("hub", "cache/deepseek-llm/one.json", "cache/deepseek-llm/two.json"),
        prepare=fake_registry,
    ),
    "fetch, clearing conversions": Command(
        ("fetch", "--clear-conversions", "--json-file", "{}/cleared.json"),
        ("cleared.json",),
        prepare=fake_registry,
    ),
    "prefetch": Command(("prefetch", MODEL, "--json-file", "{}/prefetch.json"), ("prefetch.json",)),
    "speed": Command(
        (
            "speed",
            "--model",
            MODEL,
            "--states",
            "3",
            "--repeats",
            "1",
            "--json-file",
            "{}/speed.json",
        ),
        ("speed.json",),
        (
            "speed",
            "--model",
            MODEL,
            "--states",
            "2",
            "--repeats",
            "1",
            "--json-file",
            "{}/speed.json",
        ),
        prepare=fake_processes,
    ),
    "report": Command(
        ("report", "{}/run", "--out", "{}/report"),
        ("report",),
        ("report", "--out", "{}/report"),
        slow=True,
    ),
    "export junit": Command(("export", "junit", "{}/run", "--out", "{}/j.xml"), ("j.xml",)),
    "export results": Command(
        ("export", "results", "{}/run", "--out", "{}/r.parquet"), ("r.parquet",)
    ),
    "export dataset": Command(
        ("export", "dataset", "--data", "{}/gold.jsonl", "--out", "{}/d"),
        ("d",),
        ("export", "dataset", "--data", "{}/fewer.jsonl", "--out", "{}/d"),
    ),
    "report, in a folder of others": Command(
        ("report", "{}/run", "--out", "{}/home"),
        ("home/figures", "home/tables", "home/index.html", "home/.gitattributes"),
        ("report", "--out", "{}/home"),
        slow=True,
    ),
    "export dataset, in a folder of others": Command(
        ("export", "dataset", "--data", "{}/gold.jsonl", "--out", "{}/home"),
        (
            *("home/test.jsonl", "home/test.parquet", "home/README.md", "home/croissant.json"),
            "home/.gitattributes",
        ),
        ("export", "dataset", "--data", "{}/fewer.jsonl", "--out", "{}/home"),
    ),
    "train-controls": Command(
        ("train-controls", "--recipe", "{}/recipe.toml", "--out", "{}/controls"),
        ("controls/copy", "controls/track"),
        grows=True,
        slow=True,
    ),
    "gpu-proof": Command(
        ("gpu-proof", "--rehearse", "--stages", "environment", "--out", "{}/proof"),
        ("proof/environment.json", "proof/summary.md", "proof/proof.json"),
        prepare=fake_stages,
        slow=True,
    ),
    "widen": Command(("widen", MODEL, "--layers", "5", "--out", "{}/wide"), ("wide",), slow=True),
}
"""All commands that write files, by their verbs; after a comma, a case of its own."""

_CHECKS = ("check invariance", "check decode-prefill", "check rendering")
READ_ONLY = frozenset(
    {"plan", "score", "errors", "baseline", "certify", "claims", "grammars", "list", *_CHECKS}
)
"""The other verbs: they print."""


def write_inputs(place: Path) -> Path:
    """Write what the commands read into a new folder: data, runs, fingerprints, a recipe."""
    from benchmark.boxes.dataset import rows
    from benchmark.fingerprints import storage
    from benchmark.history.entries import Entry

    place.mkdir(parents=True)
    states = finished_runs.first_states(26)
    for name, written in (("gold", states), ("fewer", states[:13])):
        text = "".join(f"{row}\n" for state in written for row in rows(state))
        (place / f"{name}.jsonl").write_text(text)
    finished_runs.write_run(place / "run", "owner/model", states, finished_runs.mixed_answer)
    record = fake_fingerprints.fake_fingerprint()
    storage.write_fingerprint(record, place / "a.json")
    changed = fake_fingerprints.with_changed_stage(record, "prompt_ids", (0,))
    storage.write_fingerprint(changed, place / "b.json")
    for name, scores in (("old", [1.0] * 20), ("new", [0.0] * 20)):
        eval_logs.write_inspect(place / f"{name}.eval", "task", scores)
    (place / "watch.jsonl").write_text(Entry("gate", "passes", 0, (), {"acc": 0.5}).line())
    for name, count in (("part", 5), ("whole", 26)):
        (place / name).mkdir()
        finished_runs.write_stored_run(
            place / name, "owner/model", finished_runs.mixed_answer, count
        )
    shutil.copy(TINY_RECIPE, place / "recipe.toml")
    (place / "home").mkdir()
    (place / "home" / ".gitattributes").write_text("*.parquet filter=lfs\n")
    _write_chat_model(place / "chat")
    for name in ("old.json", "old.json.gz"):
        _write_old_record(place / name)
    return place


def _write_chat_model(folder: Path) -> None:
    """Write a copy of a control with a chat template."""
    shutil.copytree(MODEL, folder)
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def _write_old_record(path: Path) -> None:
    """Write a fingerprint as version 0.1 did."""
    from benchmark.fingerprints import storage

    names = {"prompt_ids": "tokens", "generated_ids": "output", "counts": "verdict"}
    record = fake_fingerprints.fake_fingerprint()
    stages = {names.get(name, name): stage for name, stage in record.stages.items()}
    current = vars(storage)["FORMAT"]
    try:
        _set(storage, "FORMAT", 1)
        storage.write_fingerprint(replace(record, stages=stages), path)
    finally:
        _set(storage, "FORMAT", current)


@dataclass
class Trial:
    """A command in its own folder, with and without faults."""

    command: Command
    inputs: Path
    place: Path

    @classmethod
    def after_old(cls, command: Command, inputs: Path, parent: Path) -> "Trial":
        """Return the command's trial below a folder; its inputs include outputs of the old call."""
        before = cls(command, inputs, parent / "work")
        before.prepare()
        if command.old:
            process = before.run(command.old)
            # The codes of compare, bisect and canary say what has changed.
            assert process.returncode in {0, 3, 4}, process.err
        kept = parent / "inputs"
        shutil.copytree(before.place, kept)
        return cls(command, kept, before.place)

    def prepare(self) -> Path:
        """Create the folder with inputs, and with outputs of an older call."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.inputs, self.place)
        return self.place

    def start(
        self, arguments: tuple[str, ...], fault: injected.Fault | None = None
    ) -> forked.Process:
        """Start the command in a forked process."""
        words = [word.replace("{}", str(self.place)) for word in arguments]
        out = self.place.parent / "process"
        shutil.rmtree(out, ignore_errors=True)
        command = forked.command(*words)

        def work() -> None:
            self.command.prepare(self.place)
            try:
                command()
            finally:
                if fault is None:  # a fault would be in this write, too
                    (out / "modules").write_text("\n".join(sys.modules))

        # The log of changes is in the same new folder as the process's output.
        return forked.Process(
            injected.faulty(work, self.place, fault or injected.Fault(), out / "changes"), out
        )

    def run(
        self, arguments: tuple[str, ...], fault: injected.Fault | None = None
    ) -> forked.Process:
        """Run the command to its end in a forked process."""
        process = self.start(arguments, fault)
        process.wait()
        return process

    def changes(self) -> list[str]:
        """Return the changes of the last process, in order."""
        return (self.place.parent / "process" / "changes").read_text().splitlines()

    def import_modules(self) -> None:
        """Import what the last process, without a fault, had imported: the next ones start warm."""
        for module in (self.place.parent / "process" / "modules").read_text().splitlines():
            with suppress(Exception):  # imported by the process, so it can be
                importlib.import_module(module)

    def outputs(self) -> dict[str, Tree]:
        """Return the content of each output that exists."""
        return {name: _tree(self.place / name) for name in self.command.outputs}

    def lines(self) -> list[str]:
        """Return the complete lines of all predictions, each with its file."""
        return [line for path in self._predictions() for line in _complete_lines(path)]

    def leftovers(self) -> list[str]:
        """Return the names of files that only an unfinished process has."""
        names = (p.relative_to(self.place).as_posix() for p in self.place.rglob("*"))
        return [n for n in names if n.endswith((".part", ".old")) or "unfinished" in n]

    def _predictions(self) -> Iterator[Path]:
        for name in self.command.outputs:
            yield from sorted((self.place / name).glob("**/predictions.jsonl"))


def _complete_lines(path: Path) -> list[str]:
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return [f"{path.parent.name}: {line}" for line in lines]


def _tree(path: Path) -> Tree:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): steady(p) for p in files if not p.name.endswith("lock")}


def steady(path: Path) -> Content:
    """Return the content without times and process numbers, which differ in every run."""
    if path.name in {"result.json", "progress.json"}:
        document = json.loads(path.read_bytes())
        for name in ("timing", "starts", "seconds", "environment"):
            document.pop(name, None)
        return json.dumps(document if path.name == "result.json" else {}).encode()
    content = path.read_bytes()
    return _CREATED.sub(b"", content) if path.name == "index.html" else content
