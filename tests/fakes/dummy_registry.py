"""A registry of tiny random models that replace the registered ones, with the same architectures.

Each has the beginning of its family's real vocabulary (:mod:`fakes.short_vocabularies`), so that
prompts and constraint are realistic; the answers of the random weights have no meaning. Shortened
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
from fakes.dummy_models import dummy_model
from fakes.short_answers import prefer_short_answers
from fakes.short_vocabularies import shorten

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


def write_dummy_registry(
    models: Registry, folder: Path, real_tokenizer: Callable[[str], TransformersTokenizer]
) -> Path:
    """Write one folder per model and a registry with the real models' keys; return its path.

    Pairs expect no gain, which is true of random models.
    """
    for seed, model in enumerate(models.models.values()):
        tokenizer_folder = folder / f"tokenizer-{_tokenizer_source(model)}"
        if not tokenizer_folder.exists():
            real_tokenizer(_tokenizer_source(model)).raw.save_pretrained(tokenizer_folder)
            shorten(tokenizer_folder)
        tokenizer = _tokenizer(tokenizer_folder)
        architecture = architectures().of(model.huggingface_id)
        assert architecture
        dummy = dummy_model(architecture, len(tokenizer.raw), tokenizer.eos_id, seed)
        _save(prefer_short_answers(dummy, tokenizer), folder / model.key, model, tokenizer_folder)
    path = folder / "registry.toml"
    path.write_text("\n".join(["alone = true\n", *_model_tables(models), *_pair_tables(models)]))
    return path


def _tokenizer_source(model: RegisteredModel) -> str:
    return next((source for key, source in FAMILIES.items() if model.key.startswith(key)), "llama")


def _model_tables(models: Registry) -> list[str]:
    excluded = {"key", "quantization", "revision", "alternatives"}
    return [
        _table(
            f'[models."{model.key}"]',
            {**model.model_dump(exclude=excluded), "huggingface_id": f"./{model.key}"},
        )
        for model in models.models.values()
    ]


def _pair_tables(models: Registry) -> list[str]:
    changes = {"hypothesis": "no gain", "source": "dummy models"}
    return [_table("[[pairs]]", {**p.model_dump(), **changes}) for p in models.pairs.values()]


def _table(header: str, fields: dict[str, object]) -> str:
    """Return a TOML table; strings, booleans and lists of strings have JSON's syntax."""
    lines = (f"{name} = {json.dumps(value)}" for name, value in fields.items() if value is not None)
    return "\n".join([header, *lines, ""])


def _save(
    dummy: PreTrainedModel, folder: Path, model: RegisteredModel, tokenizer_folder: Path
) -> None:
    dummy.save_pretrained(folder)
    for path in tokenizer_folder.iterdir():
        (folder / path.name).hardlink_to(path)
    if model.format == "chat":
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        (folder / "chat_template.jinja").write_text(_CHAT_TEMPLATE)


@cache
def _tokenizer(folder: Path) -> TransformersTokenizer:
    return TransformersTokenizer(AutoTokenizer.from_pretrained(folder), folder.name)
