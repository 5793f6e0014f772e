"""Resolving a request's settings, and listing those that differ from the protocol."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.models.bos import BosRule
from benchmark.models.loading import LoadOptions
from benchmark.models.registry import registry
from benchmark.prompts.settings import PromptSettings
from benchmark.runs.requests import RunRequest, as_registered
from benchmark.runs.resolution import prompt_settings, registered_bos, resolve

OUT = Path("unused")
PROMPTS = Path(__file__).parents[3] / "fixtures" / "prompts"
TEMPLATES = tomllib.loads((PROMPTS / "templates.toml").read_text(encoding="utf-8"))


def test_protocol_without_changes() -> None:
    """Without changes all settings are the protocol's and none is listed."""
    settings = resolve(RunRequest("m", OUT, protocol="paper", device="cpu"))
    assert settings.changed == ()
    assert (settings.engine, settings.limits.batch_size, settings.limits.max_new_tokens) == (
        "outlines",
        1,
        100,
    )
    assert settings.options.dtype == "bfloat16"


def test_changes_of_a_protocol_are_recorded() -> None:
    """Settings that differ from the protocol are listed by name."""
    request = RunRequest(
        "m", OUT, protocol="paper", device="cpu", dtype="float32", batch_size=4, engine="outlines"
    )
    assert resolve(request).changed == ("batch_size", "dtype")
    assert resolve(RunRequest("m", OUT, device="cpu", dtype="float32")).changed == ()


def test_the_papers_large_models_are_quantized_on_a_gpu_only() -> None:
    """The paper's protocol loads its 70B models in 8 bit, except on a CPU, where this is listed."""
    large = RunRequest("meta-llama/Llama-2-70b-hf", OUT, protocol="paper", device="cpu")
    settings = resolve(large)
    assert settings.options.quantization is None
    assert settings.changed == ("quantization",)
    small = RunRequest("meta-llama/Llama-2-7b-hf", OUT, protocol="paper", device="cpu")
    assert resolve(small).changed == ()


@pytest.fixture
def _gpu_with_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.runs.resolution.resolve_device", lambda _: "cuda")
    monkeypatch.setattr("benchmark.models.loading.check_extra", lambda *_: None)


@pytest.mark.usefixtures("_gpu_with_bitsandbytes")
def test_only_the_papers_protocol_quantizes() -> None:
    """The default protocol loads the 70B models in bfloat16, also as registered ones."""
    entry = registry().model("llama2-70b")
    default = resolve(as_registered(entry, RunRequest("", OUT)))
    assert default.options == LoadOptions("cuda", "bfloat16", None)
    assert (default.engine, default.limits.batch_size) == ("speculative", 64)
    assert default.changed == ()
    paper = resolve(as_registered(entry, RunRequest("", OUT, protocol="paper")))
    assert paper.options == LoadOptions("cuda", "float16", "8bit")
    assert paper.changed == ()


@pytest.mark.usefixtures("_gpu_with_bitsandbytes")
@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_8_bit_runs_alone_and_in_float16(protocol: str) -> None:
    """LLM.int8 depends on the rows of a pass, and bitsandbytes converts bfloat16 each time."""
    request = RunRequest("m", OUT, protocol=protocol, quantization="8bit")
    settings = resolve(request)
    assert (settings.engine, settings.limits.batch_size) == ("outlines", 1)
    assert settings.options.dtype == "float16"
    others = {"default": ("engine", "batch_size", "dtype", "quantization")}
    assert settings.changed == others.get(protocol, ("dtype", "quantization"))
    assert resolve(replace(request, batch_size=4)).limits.batch_size == 4
    with pytest.raises(SettingError, match="multiplies in float16; leave out --dtype bfloat16"):
        resolve(replace(request, dtype="bfloat16"))


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
def test_unknown_values_are_refused(change: dict[str, str]) -> None:
    """An unknown value is refused before anything is read."""
    with pytest.raises(SettingError, match=str(next(iter(change.values())))):
        resolve(RunRequest("m", OUT, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "option", "role"),
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
def test_instruction_role(model: str, option: str | None, role: str) -> None:
    """The registry has the instruction's role for its models, and an option sets it for any."""
    request = RunRequest(model, Path("out"), instruction_role=option)
    assert prompt_settings(request).instruction_role == role


def test_instruction_role_of_a_folder(tmp_path: Path) -> None:
    """A local folder gets the user role, regardless of its name."""
    folder = tmp_path / "Llama-2-7b-chat-hf"
    folder.mkdir()
    assert prompt_settings(RunRequest(str(folder), Path("out"))).instruction_role == "user"


def test_folder_with_the_name_of_a_registered_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path that looks like a registered identifier is the folder."""
    (tmp_path / "meta-llama" / "Llama-2-70b-chat-hf").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    request = RunRequest(
        "meta-llama/Llama-2-70b-chat-hf", Path("out"), protocol="paper", device="cpu"
    )
    assert prompt_settings(request).instruction_role == "user"
    assert registered_bos(request) is None
    assert "quantization" not in resolve(request).changed


def test_changed_role_is_listed() -> None:
    """A changed instruction role is listed as changed, for chats only."""
    for prompt_format, changed in (("chat", ("instruction_role",)), ("completion", ())):
        request = RunRequest(
            "m", OUT, prompt_format=prompt_format, instruction_role="system", device="cpu"
        )
        assert resolve(request).changed == changed


def test_bos_of_registered_models() -> None:
    """The registry decides on the BOS of the paper's models, tokenizer files on that of others."""
    llama = registered_bos(RunRequest("meta-llama/Llama-2-7b-hf", Path("out")))
    assert llama == BosRule(added=True, source="registry")
    assert registered_bos(RunRequest("/models/mine", Path("out"))) is None
    entry = registry().model("llama2-7b").model_copy(update={"adds_bos": False})
    own = registered_bos(RunRequest("/models/mine", Path("out"), entry=entry))
    assert own == BosRule(added=False, source="registry")


def test_folder_of_a_users_registry() -> None:
    """A role from the user's registry is not listed as changed; one from an option is."""
    entry = registry().model("llama2-7b-chat").model_copy(update={"huggingface_id": "/models/mine"})
    for role, changed in ((None, ()), ("system", ()), ("user", ("instruction_role",))):
        option = as_registered(entry, RunRequest("", OUT, instruction_role=role, device="cpu"))
        settings = resolve(option)
        assert settings.prompt.instruction_role == (role or "system")
        assert settings.changed == changed


@pytest.mark.parametrize("name", ["default", "paper"])
def test_prompts_of_a_protocol(name: str) -> None:
    """Both protocols use the authors' prompt; ``paper`` keeps the second BOS of a chat."""
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
