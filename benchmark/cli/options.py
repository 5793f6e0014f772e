"""Command-line options that several verbs share."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.cli.choices import (
    check_device,
    completed,
    engine_names,
    one_of,
    task_names,
    variant_names,
)
from benchmark.cli.help import SHARED_PANELS

STATES, DECODING, OUTPUT = SHARED_PANELS
"""The panels of the help pages, after a verb's own options."""


def flag(*names: str, text: str, panel: str | None = None) -> object:
    """Return a boolean option, without the type that typer would show after its name."""
    return typer.Option(*names, metavar="", help=text, rich_help_panel=panel)


def option(
    text: str,
    *names: str,
    panel: str | None = None,
    metavar: str | None = None,
    least: int | None = None,
    most: int | None = None,
    check: Callable[..., object] | None = None,
    completion: Callable[..., list[str]] | None = None,
) -> object:
    """Return an option with its help text.

    Args:
        text: the help text.
        names: the spellings; by default the parameter's name.
        panel: the section of the help page.
        metavar: the placeholder of the value; by default its type or its choices.
        least: the smallest number allowed.
        most: the largest number allowed.
        check: raises ``BadParameter`` for an invalid value and returns a valid one.
        completion: returns what completes a value in a shell.
    """
    return typer.Option(
        *names,
        help=text,
        metavar=metavar,
        min=least,
        max=most,
        callback=check,
        autocompletion=completion,
        rich_help_panel=panel,
    )


setting = partial(option, panel=DECODING)
of_states = partial(option, panel=STATES)


def probe_states(text: str) -> object:
    """Return the option for the number of states of a probe, which has no dataset options."""
    return option(text, "--states", "--limit", metavar="N", least=1)


def out(text: str, metavar: str = "FILE") -> object:
    """Return the option ``--out``, also ``-o``."""
    return option(text, "--out", "-o", metavar=metavar)


Model = Annotated[
    str,
    typer.Option(help="A local folder or GGUF file, or a Hugging Face identifier.", metavar="M"),
]
Seed = Annotated[int, typer.Option(help="Seed of the generated data.", min=0, metavar="N")]
Split = Literal["train", "dev", "test"]
DataSeed = Annotated[
    int | None,
    of_states("Seed of the generated data; default: 0 without --data.", least=0, metavar="N"),
]
Json = Annotated[bool, flag("--json", text="Print the result as JSON.", panel=OUTPUT)]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json-file", help="Write the result as JSON.", metavar="FILE", rich_help_panel=OUTPUT
    ),
]
Quiet = Annotated[bool, flag("--quiet", "-q", text="Print results and errors only.", panel=OUTPUT)]
Password = Annotated[
    str | None,
    of_states("Password of the original ZIP (see the authors' README).", metavar="TEXT"),
]
Data = Annotated[
    Path,
    of_states("JSON lines in the authors' schema, or their original ZIP.", metavar="FILE"),
]
DataFile = Annotated[
    Path | None,
    of_states("JSON lines or the original ZIP; default: generated.", "--data", metavar="FILE"),
]
States = Annotated[
    int | None, of_states("Only the first N states.", "--states", "--limit", metavar="N")
]
Device = Annotated[
    str,
    setting(
        "auto, cpu, cuda or cuda:N.",
        metavar="DEVICE",
        check=check_device,
        completion=completed(lambda: ("auto", "cpu", "cuda")),
    ),
]
DtypeName = Literal["float32", "bfloat16", "float16"]
Dtype = Annotated[DtypeName | None, setting("Number format; default: the protocol's.")]
BatchSize = Annotated[
    int | None,
    setting("Prompts decoded together; default: the protocol's (64; paper: 1).", metavar="N"),
]
FormatName = Literal["completion", "chat"]
PromptFormat = Annotated[FormatName, setting("Form of the prompt.")]
PromptVariant = Annotated[
    str,
    setting(
        "Wording of a completion: authors or table2 (one more line break).",
        metavar="NAME",
        check=one_of(variant_names, "authors"),
        completion=completed(variant_names),
    ),
]
InstructionRole = Annotated[
    Literal["system", "user"] | None,
    setting("Role of a chat's instruction; default: the authors'."),
]
Bos = Annotated[
    Literal["auto", "always", "never"],
    setting("Leading BOS; auto is as the model's tokenizer."),
]
Retry = Annotated[bool, flag("--retry", text="Retry what could not be installed or run.")]
Repeats = Annotated[
    int,
    typer.Option(help="Measure the noise floor with N repeats.", min=0, max=1000, metavar="N"),
]
Engine = Annotated[
    str | None,
    setting(
        f"{', '.join(engine_names())}; default: the protocol's. list engines describes them.",
        metavar="NAME",
        check=one_of(engine_names),
        completion=completed(engine_names),
    ),
]
Protocol = Annotated[Literal["default", "paper"], setting("Named settings.")]
Quantization = Annotated[Literal["8bit"] | None, setting("Quantize the weights; needs a GPU.")]
Revision = Annotated[
    str | None,
    typer.Option(help="Branch, tag or commit of the hub repository.", metavar="NAME"),
]
MaxNewTokens = Annotated[
    int | None,
    setting("Token limit of an answer; default: the protocol's (256; paper: 100).", metavar="N"),
]
BaseUrl = Annotated[str | None, setting("Address of a server, for --engine server.", metavar="URL")]
ServerKind = Annotated[
    Literal["auto", "vllm", "sglang", "llama.cpp"] | None,
    setting("Kind of the server; default: auto.", "--kind"),
]
RequestCount = Annotated[
    int | None,
    setting(
        "Open requests to a server; default: found by trying.",
        "--concurrency",
        metavar="N",
        least=1,
        most=256,
    ),
]
TensorParallel = Annotated[
    int | None,
    setting(
        "Tensor-parallel size of vLLM; default: the GPUs of --device.",
        metavar="N",
        least=1,
        most=1024,
    ),
]
PipelineParallel = Annotated[
    int | None,
    setting("Pipeline-parallel size of vLLM; default: 1.", metavar="N", least=1, most=1024),
]
RegistryFile = Annotated[
    Path | None,
    typer.Option("--registry", help="Your own models and pairs, TOML.", metavar="FILE"),
]
ModelStoreFolder = Annotated[
    Path, typer.Option("--store", help="Folder of finished measurements.", metavar="DIR")
]
PAPER_TASK = "boxes"
"""The default of ``--task``; ``benchmark.tasks.DEFAULT`` is slow to import."""
Task = Annotated[
    str,
    of_states(
        "boxes (the paper's) or move-contents; see: list tasks.",
        metavar="NAME",
        check=one_of(task_names, PAPER_TASK),
        completion=completed(task_names),
    ),
]


SETTINGS: Mapping[str, tuple[object, object]] = {
    "engine": (Engine, None),
    "protocol": (Protocol, "default"),
    "prompt_format": (PromptFormat, "completion"),
    "prompt_variant": (PromptVariant, "authors"),
    "instruction_role": (InstructionRole, None),
    "bos": (Bos, "auto"),
    "device": (Device, "auto"),
    "dtype": (Dtype, None),
    "quantization": (Quantization, None),
    "batch_size": (BatchSize, None),
    "max_new_tokens": (MaxNewTokens, None),
    "base_url": (BaseUrl, None),
    "kind": (ServerKind, None),
    "concurrency": (RequestCount, None),
    "tensor_parallel": (TensorParallel, None),
    "pipeline_parallel": (PipelineParallel, None),
}
"""The option of every setting of a run, and its default."""

DATA: Mapping[str, tuple[object, object]] = {
    "task": (Task, PAPER_TASK),
    "data": (DataFile, None),
    "password": (Password, None),
    "states": (States, None),
    "seed": (DataSeed, None),
}
"""The options that choose the states, and their defaults."""
