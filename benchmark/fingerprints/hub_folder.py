"""Write fetched tokenizers as folders, as a download from the hub has them."""

import json
from functools import cache
from pathlib import Path

from benchmark.errors import SettingError
from benchmark.folder_writing import replacing_folder
from benchmark.models.downloads import VocabularySource, load_source_tokenizer, source
from benchmark.package_data import package_toml
from benchmark.reading.documents import json_object
from benchmark.writing import write_text


@cache
def hub_folders() -> dict[str, dict[str, object]]:
    """Return the entries of each family's ``tokenizer_config.json``, by its name."""
    return package_toml("fingerprints/folders.toml")


def hub_source(name: str) -> VocabularySource:
    """Return the source that has the tokenizer of a hub repository.

    Raises:
        SettingError: if the name is not in ``folders.toml``.
    """
    if name not in hub_folders():
        names = ", ".join(hub_folders())
        raise SettingError(f"{name}: the settings of its hub repository are only known for {names}")
    return source(str(hub_folders()[name]["of"]))


def write_hub_folder(name: str, folder: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` of a fetched tokenizer.

    Raises:
        SettingError: if the name is not in ``folders.toml``.
        ModelError: if the tokenizer is not fetched.
    """
    tokenizer = load_source_tokenizer(hub_source(name))
    config = {key: value for key, value in hub_folders()[name].items() if key != "of"}
    definition = json_object(tokenizer.raw.backend_tokenizer.to_str(), name, strict=False)
    bos, eos = (config.pop(f"template_{name}", False) for name in ("bos", "eos"))
    if bos:
        definition["post_processor"] = _template(str(config["bos_token"]), tokenizer.bos_id)
    if eos:
        token = str(config["eos_token"])
        definition["post_processor"] = _template(token, tokenizer.eos_id, after=True)
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    with replacing_folder(folder) as new:
        write_text(new / "tokenizer.json", [json.dumps(definition, ensure_ascii=False)])
        write_text(new / "tokenizer_config.json", [text])


def _template(token: str, token_id: int | None, *, after: bool = False) -> dict[str, object]:
    """Return the post-processor of a ``tokenizer.json`` that puts a token before or after texts."""
    special = {"SpecialToken": {"id": token, "type_id": 0}}
    texts = ({"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB"))
    first, second = ([text, special] if after else [special, text] for text in texts)
    return {
        "type": "TemplateProcessing",
        "single": first,
        "pair": [*first, *second],
        "special_tokens": {token: {"id": token, "ids": [token_id], "tokens": [token]}},
    }
