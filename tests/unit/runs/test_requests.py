"""Requests for registered models."""

from pathlib import Path

from benchmark.models.registry import registry
from benchmark.models.registry_types import Alternative, RegisteredModel, Registry
from benchmark.runs.requests import RunRequest, registered

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REQUEST = RunRequest("", Path("out"), device="cpu")


def _with(model: RegisteredModel) -> Registry:
    default = registry()
    return default.model_copy(update={"models": {**default.models, model.key: model}})


def test_alternative_is_loaded_by_its_own_identifier() -> None:
    """Its identifier loads the alternative; the key and the default identifier load the default."""
    chat = registry().model("llama2-7b-chat")
    other = Alternative(huggingface_id="me/copy", note="a copy")
    own = _with(chat.model_copy(update={"alternatives": (other,)}))
    request = registered(own, "me/copy", REQUEST)
    assert (request.model, request.prompt_format) == ("me/copy", "chat")
    for name in ("llama2-7b-chat", chat.huggingface_id):
        assert registered(own, name, REQUEST).model == chat.huggingface_id
    gemma = registered(registry(), "google/gemma-1.1-7b-it", REQUEST)
    assert gemma.model == "google/gemma-1.1-7b-it"


def test_registered_revision(tmp_path: Path) -> None:
    """The registered revision is used unless the request names one; local models have none."""
    pinned = registry().model("gemma-2b").model_copy(update={"revision": COMMIT})
    assert registered(_with(pinned), "gemma-2b", REQUEST).revision == COMMIT
    request = RunRequest("", Path("out"), revision="v2", device="cpu")
    assert registered(_with(pinned), "gemma-2b", request).revision == "v2"
    assert registered(registry(), "gemma-2b", REQUEST).revision is None
    local = pinned.model_copy(update={"huggingface_id": str(tmp_path)})
    assert registered(_with(local), "gemma-2b", REQUEST).revision is None
