"""The registry: all models and pairs of the paper, and checks of a user's own."""

import re
from collections import Counter
from pathlib import Path

import pytest

from benchmark.errors import DataError, SettingError
from benchmark.models.published import published, published_rows
from benchmark.models.registry import read_registry, registry
from benchmark.models.registry_types import Alternative, RegisteredModel, Registry

MODEL = """
[models.mine]
name = "Mine 1B"
huggingface_id = "me/mine"
architecture = "llama"
size = "1B"
added = ["code"]
format = "completion"
paper = false
"""
PAIR = """
[[pairs]]
id = "code-mine"
experiment = "code"
base = "llama2-7b"
variant = "mine"
source = "my notes"
hypothesis = "gain"
"""


def _read(tmp_path: Path, text: str) -> Registry:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return read_registry(path)


def test_the_papers_models_are_those_with_published_results() -> None:
    """The registry has the paper's 29 models under the names of its tables."""
    ours = {(m.key, m.name) for m in registry().models.values() if m.paper}
    assert ours == {(row.key, row.name) for row in published().values()}
    assert len(ours) == 29


def test_models_that_only_the_authors_data_has() -> None:
    """Eight models are only in the authors' data, under their own names."""
    rows = [row for row in published_rows().values() if row.source == "authors"]
    models = [registry().model(row.key) for row in rows]
    assert [model.name for model in models] == [row.name for row in rows]
    assert len(models) == 8
    assert not any(model.paper for model in models)
    assert {model.format for model in models} == {"completion"}
    assert {model.key for model in models if model.gated} == {"gemma-2b", "gemma-2b-instruct"}


@pytest.mark.parametrize("key", published_rows())
def test_a_row_names_a_repository_of_its_model(key: str) -> None:
    """Repositories in Table 4 or the authors' data are the default or an alternative."""
    model = registry().model(key)
    named = registry().by_huggingface_id(published_rows()[key].huggingface_id)
    assert named is not None
    assert (named.key, named.row) == (key, key)
    assert named.huggingface_id == published_rows()[key].huggingface_id
    assert (named is model) is (named.alternative is None)


def test_where_table_4_and_the_authors_data_differ() -> None:
    """The default is that of the authors' data; OLMo's are conversions that need no code."""
    models = [model for model in registry().models.values() if model.alternatives]
    result = {m.key: (m.huggingface_id, m.alternatives[0].huggingface_id) for m in models}
    assert result == {
        "gemma-7b-instruct": ("google/gemma-7b-it", "google/gemma-1.1-7b-it"),
        "codegemma-7b-instruct": ("google/codegemma-7b-it", "google/codegemma-1.1-7b-it"),
        "openmath-7b": (
            "nvidia/OpenMath-Mistral-7B-v0.1-hf",
            "nvidia/OpenMath-Mistral-7B-v0.1",
        ),
        "olmo-1b": ("allenai/OLMo-1B-hf", "allenai/OLMo-1B"),
        "olmo-7b": ("allenai/OLMo-7B-hf", "allenai/OLMo-7B"),
    }
    assert all(alternative.note for model in models for alternative in model.alternatives)


def test_an_alternative_is_loaded_where_it_is_named() -> None:
    """An alternative's identifier returns its model, loaded from the alternative."""
    models_registry = registry()
    default = models_registry.model("gemma-7b-instruct")
    for name in ("gemma-7b-instruct", "google/gemma-7b-it"):
        assert models_registry.find(name) is default
    named = models_registry.find("google/gemma-1.1-7b-it")
    assert named is not None
    assert named.page == "https://huggingface.co/google/gemma-1.1-7b-it"
    assert named == default.model_copy(update={"huggingface_id": "google/gemma-1.1-7b-it"})
    assert default.alternative is None
    assert models_registry.find("google/gemma-9b-it") is None


def test_models_that_are_pinned() -> None:
    """Only those of the nightly workflow: their commits are named in other projects' code.

    No hub could be reached to see those of the others.
    """
    entries = [entry for m in registry().models.values() for entry in (m, *m.alternatives)]
    pinned = {entry.huggingface_id for entry in entries if entry.revision}
    assert pinned == {"Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-Coder-0.5B"}


def test_whose_turn_gives_the_instruction() -> None:
    """As in the authors' code, only identifiers with Llama have a system message."""
    for model in registry().models.values():
        role = "system" if "Llama" in model.huggingface_id else "user"
        assert (model.key, model.instruction_role) == (model.key, role)
    assert registry().model("codellama-7b").instruction_role == "system"
    assert registry().model("deepseek-7b-chat").instruction_role == "user"
    assert registry().model("llama-7b").instruction_role == "user"


def test_whose_tokenizer_puts_a_bos() -> None:
    """All tokenizers of the paper add a BOS; those of Qwen2.5, OLMo and Phi do not."""
    models = registry().models.values()
    assert {model.adds_bos for model in models if model.paper} == {True}
    without = {model.architecture for model in models if model.adds_bos is False}
    assert without == {"qwen2", "olmo", "phi"}
    assert not any(model.adds_bos for model in models if model.architecture in without)
    assert all(model.adds_bos is not None for model in models)


def test_the_papers_pairs_by_experiment() -> None:
    """The paper has 21 pairs: five of code, five of math, eleven of alignment."""
    pairs = [pair for pair in registry().pairs.values() if pair.paper]
    assert Counter(p.experiment for p in pairs) == {"code": 5, "math": 5, "alignment": 11}


def test_a_variant_has_what_its_base_has_and_the_experiments_training() -> None:
    """In every pair the variant adds the training its experiment is about."""
    models = registry().models
    for pair in registry().pairs.values():
        base, variant = models[pair.base], models[pair.variant]
        assert pair.experiment in set(variant.added) - set(base.added)
        assert set(base.added) < set(variant.added)
        assert (base.architecture, base.size) == (variant.architecture, variant.size)
        assert pair.id.startswith(f"{pair.experiment}-")


def test_every_model_of_the_paper_is_in_a_pair() -> None:
    """Every model of the paper is in at least one pair."""
    pairs = [pair for pair in registry().pairs.values() if pair.paper]
    used = {key for pair in pairs for key in (pair.base, pair.variant)}
    assert used == {key for key, model in registry().models.items() if model.paper}


def test_chat_format_is_the_papers_choice() -> None:
    """Only Llama 2 Chat and DeepSeek Chat are prompted as a chat (Table 4)."""
    chat = {key for key, model in registry().models.items() if model.format == "chat"}
    assert chat == {"llama2-7b-chat", "llama2-13b-chat", "llama2-70b-chat", "deepseek-7b-chat"}


def test_70b_models_are_loaded_in_8_bit() -> None:
    """As in the authors' code, the 70B models and no others are quantized."""
    quantized = {model.size for model in registry().models.values() if model.quantization}
    assert quantized == {"70B"}
    assert all(m.quantization for m in registry().models.values() if m.size == "70B")


def test_newer_pairs_are_marked_and_documented() -> None:
    """At least six pairs are not the paper's, and each says where it is documented."""
    newer = [pair for pair in registry().pairs.values() if not pair.paper]
    assert len(newer) >= 6
    assert all(pair.source and "arXiv" in pair.source for pair in newer)
    assert not any(registry().models[pair.variant].paper for pair in newer)


def test_a_users_pair_joins_the_registry(tmp_path: Path) -> None:
    """A user's models and pairs are added to the benchmark's, and may use its models."""
    own = _read(tmp_path, MODEL + PAIR)
    assert own.pair("code-mine").variant == "mine"
    assert own.model("mine").page == "https://huggingface.co/me/mine"
    assert own.models.keys() - {"mine"} == registry().models.keys()


@pytest.mark.parametrize("architecture", ["rwkv", "gpt_neox", "xlm-roberta", "Phi3.5", "mamba2"])
def test_a_pair_of_any_architecture_registers(tmp_path: Path, architecture: str) -> None:
    """Any name of an architecture is accepted."""
    own = _read(tmp_path, MODEL.replace('"llama"', f'"{architecture}"') + PAIR)
    assert own.model("mine").architecture == architecture
    assert own.pair("code-mine").variant == "mine"
    assert (own.model("mine").instruction_role, own.model("mine").adds_bos) == ("user", None)


ALTERNATIVE = """
[[models.mine.alternatives]]
huggingface_id = "me/mine-v2"
note = "a second release"
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _named(tmp_path: Path, text: str) -> RegisteredModel:
    result = _read(tmp_path, text).find("me/mine-v2")
    assert result is not None
    return result


def test_an_alternative_names_its_row_or_none(tmp_path: Path) -> None:
    """The results of an alternative without a row have no published counterpart."""
    without = _named(tmp_path, MODEL + ALTERNATIVE)
    assert (without.key, without.row) == ("mine", None)
    row = _named(tmp_path, MODEL + ALTERNATIVE + 'row = "llama2-7b"\n').row
    assert row == "llama2-7b"
    assert _read(tmp_path, MODEL + ALTERNATIVE).model("mine").row == "mine"


def test_an_alternative_has_a_revision_of_its_own(tmp_path: Path) -> None:
    """The commit and tokenizer of the default repository do not apply to an alternative."""
    pinned = MODEL + f'revision = "{COMMIT}"\n'
    assert _read(tmp_path, pinned).model("mine").revision == COMMIT
    assert _named(tmp_path, pinned + ALTERNATIVE).revision == ""
    elsewhere = MODEL + 'tokenizer = "me/words"\n'
    assert _read(tmp_path, elsewhere).model("mine").tokenizer == "me/words"
    assert _named(tmp_path, elsewhere + ALTERNATIVE).tokenizer == ""
    both = pinned + ALTERNATIVE + f'revision = "{COMMIT[::-1]}"\n'
    assert _named(tmp_path, both).revision == COMMIT[::-1]


def test_an_alternative_beside_the_registry(tmp_path: Path) -> None:
    """An alternative may be a folder next to the file."""
    (other,) = (
        _read(tmp_path, MODEL + ALTERNATIVE.replace("me/mine-v2", "./two"))
        .model("mine")
        .alternatives
    )
    assert Path(other.huggingface_id) == tmp_path.resolve() / "two"


def test_a_default_repository_comes_before_an_alternative(tmp_path: Path) -> None:
    """A model whose default is the repository wins over another model's alternative."""
    own = _read(tmp_path, MODEL.replace("me/mine", "google/gemma-1.1-7b-it"))
    result = own.by_huggingface_id("google/gemma-1.1-7b-it")
    assert result is own.model("mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MODEL + ALTERNATIVE.replace("-v2", ""), "alternatives: one repository is named twice"),
        (MODEL + ALTERNATIVE + ALTERNATIVE, "alternatives: one repository is named twice"),
        (MODEL + ALTERNATIVE + 'row = "none"\n', "alternatives: no published row 'none'"),
        (MODEL + ALTERNATIVE.replace('note = "a second release"\n', ""), "alternatives.0.note"),
        (MODEL + 'revision = "main"\n', "revision: String should match"),
        (MODEL + 'instruction_role = "assistant"\n', "instruction_role: Input should be"),
        (MODEL + 'adds_bos = "yes, twice"\n', "adds_bos: Input should be"),
        (
            MODEL.replace("me/mine", "./mine") + f'revision = "{COMMIT}"\n',
            "revision: ./mine is a folder and has no revision",
        ),
    ],
)
def test_wrong_repositories_are_named(tmp_path: Path, text: str, message: str) -> None:
    """An invalid repository, commit or prompt field is one line."""
    with pytest.raises(DataError) as error:
        _read(tmp_path, text)
    assert f"model 'mine': {message}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "own.toml: not TOML"),
        ("[teams]\n", "own.toml: unknown section teams"),
        (MODEL.replace('size = "1B"\n', ""), "model 'mine': size: Field required"),
        (MODEL.replace('"llama"', '"my model"'), "model 'mine': architecture"),
        (MODEL.replace('"llama"', '""'), "model 'mine': architecture"),
        (MODEL.replace('["code"]', '["poems"]'), "model 'mine': added.0"),
        (MODEL + "color = 1\n", "model 'mine': color"),
        (MODEL.replace("models.mine", "models.llama2-7b"), "the name is already taken"),
        (MODEL + PAIR.replace('"mine"', '"yours"'), "its variant 'yours' is not among"),
        (MODEL + PAIR.replace('"llama2-7b"', '"mine"'), "base and variant are the same"),
        (MODEL + PAIR.replace('source = "my notes"\n', ""), "needs a source"),
        (MODEL + PAIR + PAIR, "pair 'code-mine': the name is already taken"),
        (MODEL + PAIR.replace('id = "code-mine"\n', ""), "pair 1: id: Field required"),
    ],
)
def test_a_wrong_registry_is_named(tmp_path: Path, text: str, message: str) -> None:
    """An error in a user's file is one line with the file, entry and field."""
    with pytest.raises(DataError) as error:
        _read(tmp_path, text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_named_with_what_is() -> None:
    """The error for an unknown key or identifier lists the known ones."""
    with pytest.raises(SettingError, match="choose one of codegemma-2b, "):
        registry().model("x")
    with pytest.raises(SettingError, match="choose one of alignment-codegemma-7b, "):
        registry().pair("x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A registry that cannot be read is an error with its path."""
    with pytest.raises(DataError, match=r"none\.toml: cannot be read"):
        read_registry(tmp_path / "none.toml")


def test_a_registry_may_stand_alone(tmp_path: Path) -> None:
    """With alone = true the registry has only the models and pairs of the file."""
    own = "alone = true\n" + MODEL.replace("models.mine", "models.llama2-7b")
    result = _read(tmp_path, own)
    assert list(result.models) == ["llama2-7b"]
    assert result.models["llama2-7b"].huggingface_id == "me/mine"
    assert result.pairs == {}
    with pytest.raises(DataError, match="base 'llama2-7b' is not among the models"):
        _read(tmp_path, "alone = true\n" + MODEL + PAIR)


def test_a_model_beside_the_registry(tmp_path: Path) -> None:
    """An identifier that begins with ./ is relative to the file."""
    result = _read(tmp_path, MODEL.replace("me/mine", "./mine"))
    assert Path(result.models["mine"].huggingface_id) == tmp_path.resolve() / "mine"


def test_a_pair_of_ones_own_is_not_published(tmp_path: Path) -> None:
    """Only a pair with published results can have the hypothesis ``as published``."""
    with pytest.raises(DataError, match="'code-mine': it has no published results"):
        _read(tmp_path, MODEL + PAIR.replace('"gain"', '"as published"'))


@pytest.mark.parametrize(
    "text", ["models = 3", "models = [1]", "[models]\na = 1", "[pairs]\na = 1", "pairs = [1]"]
)
def test_a_registry_of_another_form(tmp_path: Path, text: str) -> None:
    """Sections that are not tables are reported, and do not raise another error."""
    with pytest.raises(DataError, match=r"own\.toml: (models|pairs) must be TOML tables"):
        _read(tmp_path, text)


def test_alone_is_true_or_false(tmp_path: Path) -> None:
    """A value that is not a boolean is refused."""
    with pytest.raises(DataError, match="alone is 'yes'; it must be true or false"):
        _read(tmp_path, 'alone = "yes"')


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("models.mine", 'models."../mine"', "key: String should match"),
        ('"me/mine"', '""', "huggingface_id: String should have at least 1"),
        ('size = "1B"', 'size = ""', "size: String should have at least 1"),
        ('id = "code-mine"', 'id = "code mine [x]"', "id: String should match"),
        ("paper = false", 'paper = "no"', "paper: Input should be a valid boolean"),
        ("paper = false", "paper = 0", "paper: Input should be a valid boolean"),
        (
            'experiment = "code"',
            'experiment = "math"',
            "'mine' does not have 'math' in its added training",
        ),
    ],
)
def test_names_and_experiments_are_checked(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    """Keys and identifiers are valid names, and a variant has its experiment's training."""
    text = MODEL + PAIR
    assert before in text
    with pytest.raises(DataError, match=re.escape(message)):
        _read(tmp_path, text.replace(before, after))


def test_a_pair_is_found_by_keys_and_identifiers() -> None:
    """Base and variant may be named by registry key or by identifier on the hub."""
    models_registry = registry()
    expected = models_registry.pair("code-llama2-7b")
    assert models_registry.find_pair("llama2-7b", "codellama-7b") is expected
    assert models_registry.find_pair("meta-llama/Llama-2-7b-hf", "codellama-7b") is expected
    assert models_registry.find_pair("codellama-7b", "llama2-7b") is None
    assert models_registry.find_pair("x", "y") is None


def test_a_pair_is_found_by_an_alternative_of_the_same_row() -> None:
    """An alternative with the model's row is in its pair; one without a row is not."""
    expected = registry().pair("alignment-gemma-7b")
    assert registry().find_pair("gemma-7b", "google/gemma-1.1-7b-it") is expected
    other = Alternative(huggingface_id="me/other", note="another release")
    model = registry().model("gemma-7b-instruct").model_copy(update={"alternatives": (other,)})
    models_registry = registry().model_copy(
        update={"models": {**registry().models, "gemma-7b-instruct": model}}
    )
    assert models_registry.find_pair("gemma-7b", "me/other") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("=cmd|' /C calc'!A1", "begins with ="),
        ("+1", r"begins with \+"),
        (" =1", "begins with ="),
        ("\uff1d1", "begins with \uff1d"),
        ("'=1", "begins with '"),
        ("  ", "is blank"),
        ("@SUM(A1)", "begins with @"),
        ("-2", "begins with -"),
        ("a\\u001b[2Jb", "not printable"),
        ("a\\nb", "not printable"),
        ("a\\u202eb", "not printable"),
    ],
)
@pytest.mark.parametrize("field", ["name", "huggingface_id", "size"])
def test_a_text_that_acts_is_refused(tmp_path: Path, field: str, name: str, words: str) -> None:
    """It would act in a terminal or a spreadsheet; the place is named."""
    fields = {"huggingface_id": "a/b", "name": "B", "size": "1B", field: name}
    text = "".join(f'{key} = "{value}"\n' for key, value in fields.items())
    rest = 'architecture = "llama"\nadded = []\nformat = "completion"\npaper = false\n'
    path = tmp_path / "registry.toml"
    path.write_text(f"[models.mine]\n{text}{rest}", encoding="utf-8")
    with pytest.raises(DataError, match=rf"registry\.toml: model 'mine': {field}: .*{words}"):
        read_registry(path)
