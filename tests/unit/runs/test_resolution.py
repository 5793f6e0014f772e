"""What a request's settings come to, and what of them is not the protocol's."""

import tomllib
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.models.bos import BosRule
from benchmark.models.registry import registry
from benchmark.prompts.settings import PromptSettings
from benchmark.runs.requests import RunRequest, as_registered
from benchmark.runs.resolution import prompt_settings, registered_bos, resolve

OUT = Path("unused")
PROMPTS = Path(__file__).parents[3] / "fixtures" / "prompts"
TEMPLATES = tomllib.loads((PROMPTS / "templates.toml").read_text(encoding="utf-8"))


def test_a_protocol_as_it_is() -> None:
    """Without changes all settings are the protocol's, and none is listed as changed."""
    settings = resolve(RunRequest("m", OUT, protocol="paper", device="cpu"))
    assert settings.changed == ()
    assert (settings.engine, settings.limits.batch_size, settings.limits.max_new_tokens) == (
        "outlines",
        1,
        100,
    )
    assert settings.options.dtype == "bfloat16"


def test_changes_of_a_protocol_are_recorded() -> None:
    """What is not as the protocol says is listed by name, so that the name is not the whole."""
    request = RunRequest(
        "m", OUT, protocol="paper", device="cpu", dtype="float32", batch_size=4, engine="outlines"
    )
    assert resolve(request).changed == ("batch_size", "dtype")
    assert resolve(RunRequest("m", OUT, device="cpu", dtype="float32")).changed == ()


def test_the_papers_large_models_are_quantized_on_a_gpu_only() -> None:
    """The paper's protocol loads its 70B models in 8 bit; a CPU cannot, and the result says so."""
    large = RunRequest("meta-llama/Llama-2-70b-hf", OUT, protocol="paper", device="cpu")
    settings = resolve(large)
    assert settings.options.quantization is None
    assert settings.changed == ("quantization",)
    small = RunRequest("meta-llama/Llama-2-7b-hf", OUT, protocol="paper", device="cpu")
    assert resolve(small).changed == ()


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "fast"},
        {"protocol": "fast"},
        {"prompt_format": "poem"},
        {"device": "tpu"},
        {"dtype": "int4"},
        {"quantization": "4bit"},
        {"batch_size": 0},
    ],
)
def test_settings_that_do_not_exist(change: dict[str, str]) -> None:
    """A value that does not exist is refused before anything is read."""
    with pytest.raises(SettingError, match=str(next(iter(change.values())))):
        resolve(RunRequest("m", OUT, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "asked", "role"),
    [
        *(
            (identifier, None, family["role"])
            for family in TEMPLATES.values()
            for identifier in family["identifiers"]
        ),
        # The identifier decides for models that are not registered, as in the authors' code.
        ("someone/Llama-copy", None, "system"),
        ("someone/llama-copy", None, "user"),
        # An option sets either.
        ("meta-llama/Llama-2-7b-chat-hf", "user", "user"),
        ("/models/mine", "system", "system"),
    ],
)
def test_instruction_role(model: str, asked: str | None, role: str) -> None:
    """The registry says whose turn the instruction is, for its models, and an option for any."""
    request = RunRequest(model, Path("out"), instruction_role=asked)
    assert prompt_settings(request).instruction_role == role


def test_instruction_role_of_a_folder(tmp_path: Path) -> None:
    """A local folder is asked in a user turn whatever it is called."""
    folder = tmp_path / "Llama-2-7b-chat-hf"
    folder.mkdir()
    assert prompt_settings(RunRequest(str(folder), Path("out"))).instruction_role == "user"


def test_a_folder_called_as_a_registered_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path that reads like a registered identifier is the folder, and no Llama 2."""
    (tmp_path / "meta-llama" / "Llama-2-70b-chat-hf").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    request = RunRequest(
        "meta-llama/Llama-2-70b-chat-hf", Path("out"), protocol="paper", device="cpu"
    )
    assert prompt_settings(request).instruction_role == "user"
    assert registered_bos(request) is None
    assert "quantization" not in resolve(request).changed


def test_a_role_of_ones_own_is_a_departure() -> None:
    """What an option changes of the instruction's role is listed, for a chat alone."""
    for prompt_format, changed in (("chat", ("instruction_role",)), ("completion", ())):
        request = RunRequest(
            "m", OUT, prompt_format=prompt_format, instruction_role="system", device="cpu"
        )
        assert resolve(request).changed == changed


def test_bos_of_registered_models() -> None:
    """The registry says that the paper's tokenizers add a BOS; of others their files do."""
    llama = registered_bos(RunRequest("meta-llama/Llama-2-7b-hf", Path("out")))
    assert llama == BosRule(added=True, source="registry")
    assert registered_bos(RunRequest("/models/mine", Path("out"))) is None
    entry = registry().model("llama2-7b").model_copy(update={"adds_bos": False})
    own = registered_bos(RunRequest("/models/mine", Path("out"), entry=entry))
    assert own == BosRule(added=False, source="registry")


def test_a_folder_that_a_registry_names_is_asked_as_registered() -> None:
    """The role that a registry of one's own gives a folder is no departure; an option's is."""
    entry = registry().model("llama2-7b-chat").model_copy(update={"huggingface_id": "/models/mine"})
    for role, changed in ((None, ()), ("system", ()), ("user", ("instruction_role",))):
        asked = as_registered(entry, RunRequest("", OUT, instruction_role=role, device="cpu"))
        settings = resolve(asked)
        assert settings.prompt.instruction_role == (role or "system")
        assert settings.changed == changed


@pytest.mark.parametrize("name", ["default", "paper"])
def test_prompts_of_a_protocol(name: str) -> None:
    """Both protocols send the authors' bytes; ``paper`` keeps the second BOS of a chat."""
    settings = resolve(RunRequest("m", Path("out"), protocol=name, device="cpu"))
    assert settings.prompt == PromptSettings(repeated_bos=name == "paper")
    assert settings.changed == ()
    varied = RunRequest(
        "m", Path("out"), protocol=name, device="cpu", prompt_variant="table2", bos="never"
    )
    assert resolve(varied).changed == ("prompt_variant", "bos")
    document = resolve(varied).as_json()
    assert document["prompt_variant"] == "table2"
    assert document["bos"] == "never"
    assert document["instruction_role"] is None  # it says nothing of a completion
