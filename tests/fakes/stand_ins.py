"""A registry of tiny random models that replace the registered ones, with the same architectures.

Each has the beginning of its family's real vocabulary (:mod:`short_vocabularies`), so that prompts
and constraint are realistic; the answers of the random weights have no meaning. Shortened
vocabularies load in a tenth of the time; ``test_tokenizers.py`` tests complete ones.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedModel

from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.planning.architectures import architectures

FAMILIES = {
    "deepseek": "deepseek-llm",
    "gemma": "gemma",
    "codegemma": "gemma",
    "mistral": "mistral",
    "openmath": "mistral",
    "qwen": "smollm2",
}
"""The tokenizer's source by the beginning of a model's key; all others have Llama's."""

_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}\n"
    "{% endfor %}[assistant] "
)


def family(model: RegisteredModel) -> str:
    """Return the source of the model's tokenizer."""
    return next((source for key, source in FAMILIES.items() if model.key.startswith(key)), "llama")


def write_stand_ins(
    known: Registry,
    folder: Path,
    tokenizer: Callable[[str], TransformersTokenizer],
    stand_in_model: Callable[..., PreTrainedModel],
    shorten: Callable[[Path], None],
    hurry: Callable[[PreTrainedModel, TransformersTokenizer], PreTrainedModel],
) -> Path:
    """Write one folder per model and a registry with the real models' keys; return its path.

    Pairs expect no gain, which is true of random models.
    """
    for seed, model in enumerate(known.models.values()):
        of = family(model)
        saved = folder / f"tokenizer-{of}"
        if not saved.exists():
            tokenizer(of).raw.save_pretrained(saved)
            shorten(saved)
        short = _tokenizer(saved)
        made = stand_in_model(
            architectures().of(model.huggingface_id), len(short.raw), short.eos_id, seed
        )
        _save(hurry(made, short), folder / model.key, model, saved)
    parts = ["alone = true\n"]
    for model in known.models.values():
        left = {"key", "quantization", "revision", "alternatives"}
        fields = {**model.model_dump(exclude=left), **_beside(model)}
        parts.append(_table(f'[models."{model.key}"]', fields))
    for pair in known.pairs.values():
        fields = {**pair.model_dump(), "hypothesis": "no gain", "source": "stand-ins"}
        parts.append(_table("[[pairs]]", fields))
    path = folder / "registry.toml"
    path.write_text("\n".join(parts))
    return path


def _beside(model: RegisteredModel) -> dict[str, object]:
    return {"huggingface_id": f"./{model.key}"}


def _table(header: str, fields: dict[str, object]) -> str:
    """Return a TOML table; strings, booleans and lists of strings have JSON's syntax."""
    lines = (f"{name} = {json.dumps(value)}" for name, value in fields.items() if value is not None)
    return "\n".join([header, *lines, ""])


def _save(made: PreTrainedModel, folder: Path, model: RegisteredModel, saved: Path) -> None:
    made.save_pretrained(folder)
    for path in saved.iterdir():
        (folder / path.name).hardlink_to(path)
    if model.format == "chat":
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        (folder / "chat_template.jinja").write_text(_CHAT_TEMPLATE)


@cache
def _tokenizer(saved: Path) -> TransformersTokenizer:
    return TransformersTokenizer(AutoTokenizer.from_pretrained(saved), saved.name)
