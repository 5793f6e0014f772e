"""A request for a registered model is for it as it is registered."""

from pathlib import Path

from benchmark.models.registry import registry
from benchmark.models.registry_types import Alternative, RegisteredModel, Registry
from benchmark.runs.requests import RunRequest, registered

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REQUEST = RunRequest("", Path("out"), device="cpu")


def _with(model: RegisteredModel) -> Registry:
    known = registry()
    return known.model_copy(update={"models": {**known.models, model.key: model}})


def test_an_alternative_is_prompted_as_registered_and_loaded_itself() -> None:
    """Named by its own identifier; by key or default identifier the default is loaded."""
    chat = registry().model("llama2-7b-chat")
    other = Alternative(huggingface_id="me/copy", note="a copy")
    known = _with(chat.model_copy(update={"alternatives": (other,)}))
    found = registered(known, "me/copy", REQUEST)
    assert (found.model, found.prompt_format) == ("me/copy", "chat")
    for name in ("llama2-7b-chat", chat.huggingface_id):
        assert registered(known, name, REQUEST).model == chat.huggingface_id
    gemma = registered(registry(), "google/gemma-1.1-7b-it", REQUEST)
    assert gemma.model == "google/gemma-1.1-7b-it"


def test_a_registered_model_is_loaded_at_its_revision(tmp_path: Path) -> None:
    """Unless the request names another; a local model has none."""
    pinned = registry().model("gemma-2b").model_copy(update={"revision": COMMIT})
    assert registered(_with(pinned), "gemma-2b", REQUEST).revision == COMMIT
    asked = RunRequest("", Path("out"), revision="v2", device="cpu")
    assert registered(_with(pinned), "gemma-2b", asked).revision == "v2"
    assert registered(registry(), "gemma-2b", REQUEST).revision is None
    local = pinned.model_copy(update={"huggingface_id": str(tmp_path)})
    assert registered(_with(local), "gemma-2b", REQUEST).revision is None
