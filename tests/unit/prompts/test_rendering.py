"""The two formats of the prompt, byte by byte, and the BOS before it."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark.errors import ModelError, SettingError
from benchmark.models.tokenizer import ChatTemplateError
from benchmark.prompts.rendering import (
    Demonstrations,
    chat,
    completion,
    demonstrations,
    prompt,
    prompt_ids,
    with_one_bos,
)
from benchmark.prompts.settings import Bos, PromptSettings, Role, variants
from benchmark.records import Message
from fakes.fake_tokenizer import FakeTokenizer
from fakes.tiny_tokenizer import tiny_tokenizer

GOLDEN = Path(__file__).parents[3] / "fixtures" / "prompts"
DESCRIPTION = (GOLDEN / "description.txt").read_text(encoding="utf-8").rstrip("\n")
COMPLETION = (GOLDEN / "completion.txt").read_text(encoding="utf-8")
CHAT = json.loads((GOLDEN / "chat_user.json").read_text(encoding="utf-8"))
CHAT_WITH_SYSTEM = json.loads((GOLDEN / "chat_system.json").read_text(encoding="utf-8"))
TEMPLATES = tomllib.loads((GOLDEN / "templates.toml").read_text(encoding="utf-8"))

AS_COMPLETION = PromptSettings()
AS_CHAT = PromptSettings(prompt_format="chat")
AS_SYSTEM_CHAT = PromptSettings(prompt_format="chat", instruction_role="system")

IDS = st.lists(st.integers(0, 4)).map(tuple)

TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + TURNS
)
DROPS_SYSTEM = TURNS.replace("in messages", "in messages if m.role != 'system'")
REFUSES_ALL = "{{ raise_exception('Conversation roles must alternate') }}"
BROKEN = "{{ messages[0].role.nothing.at_all }}"


def _text(messages: Sequence[dict[str, str]]) -> str:
    """Return the messages as the template ``TURNS`` renders them."""
    return "".join(f"<{turn['role']}>{turn['content']}</>" for turn in messages)


# The text


def test_completion() -> None:
    """The completion prompt is the authors', byte for byte: it ends with the query's full stop."""
    assert completion(DESCRIPTION) == COMPLETION
    assert COMPLETION.endswith("Put the leaf into Box 1.")


def test_completion_of_table_2() -> None:
    """The variant of Table 2 ends with one more line break."""
    assert completion(DESCRIPTION, "table2") == COMPLETION + "\n"


@pytest.mark.parametrize("name", variants())
def test_every_variant_asks_the_query_last(name: str) -> None:
    """Each row of the data has the instruction, the examples with answers, and the query."""
    text = completion("Box 0 contains {braces}.", name)
    assert text.startswith("Given the description")
    assert text.count("Statement: Box 0 contains") == 2
    assert text.rstrip().endswith("Description: Box 0 contains {braces}.")
    assert variants()[name].what


def test_chat() -> None:
    """The chat prompt is Table 5's, with a user's instruction that is answered ``Okay.``."""
    assert [asdict(turn) for turn in chat(DESCRIPTION)] == CHAT


def test_chat_with_a_system_message() -> None:
    """With the system role the instruction is a system message."""
    assert [asdict(turn) for turn in chat(DESCRIPTION, "system")] == CHAT_WITH_SYSTEM


def test_demonstrations_can_be_given() -> None:
    """Both formats have the given instruction and examples, in order."""
    own = Demonstrations("Do it.", "Yes.", (("A.", "B."), ("C.", "D.")))
    assert completion("E.", demonstrations=own) == (
        "Do it.\n\nDescription: A.\nStatement: B.\n\nDescription: C.\nStatement: D.\n\n"
        "Description: E."
    )
    turns = [f"{turn.role}: {turn.content}" for turn in chat("E.", demonstrations=own)]
    assert turns == [
        *("user: Do it.", "assistant: Yes."),
        *("user: Description: A.", "assistant: Statement: B."),
        *("user: Description: C.", "assistant: Statement: D."),
        "user: Description: E.",
    ]
    assert len(chat("E.", "system", own)) == len(turns) - 1


def test_demonstrations_are_the_papers_by_default() -> None:
    """The default is the first task; another task may have its own examples only."""
    paper, other = demonstrations("boxes"), demonstrations("move-contents")
    assert demonstrations() == paper
    assert completion(DESCRIPTION, demonstrations=paper) == COMPLETION
    assert (other.instruction, other.acknowledgement) == (paper.instruction, paper.acknowledgement)
    assert other.examples[0] == paper.examples[0]
    assert other.examples[1] != paper.examples[1]


@pytest.mark.parametrize("role", ["system", "user"])
def test_chat_takes_turns(role: Role) -> None:
    """User and assistant alternate after a system message, and the last turn is the user's."""
    roles = [turn.role for turn in chat(DESCRIPTION, role)]
    if role == "system":
        assert roles.pop(0) == "system"
    assert roles == [("user", "assistant")[place % 2] for place in range(len(roles))]
    assert roles[-1] == "user"


@pytest.mark.parametrize("family", TEMPLATES)
def test_golden_chat(family: str) -> None:
    """The complete prompt of each family that the paper prompts as a chat."""
    given = TEMPLATES[family]
    tokenizer = tiny_tokenizer(chat_template=given["template"])
    tokenizer.raw.bos_token, tokenizer.raw.eos_token = given["bos"], given["eos"]
    settings = PromptSettings(prompt_format="chat", instruction_role=given["role"])
    golden = (GOLDEN / f"{family}.txt").read_text(encoding="utf-8")
    assert prompt(tokenizer, DESCRIPTION, settings).text == golden


# The rendered prompt


def test_prompt_to_complete() -> None:
    """The prompt's ids are those of its text after one BOS."""
    tokenizer = FakeTokenizer()
    rendered = prompt(tokenizer, DESCRIPTION, AS_COMPLETION)
    assert rendered.text == COMPLETION
    assert rendered.token_ids == (tokenizer.bos_id, *COMPLETION.encode())


@pytest.mark.parametrize("names", [{"bos_id": None}, {"adds_bos": False}])
def test_prompt_where_no_bos_is_added(names: dict[str, Any]) -> None:
    """A prompt has no BOS if the tokenizer has none or never adds it."""
    rendered = prompt(FakeTokenizer(**names), DESCRIPTION, AS_COMPLETION)
    assert rendered.token_ids == tuple(COMPLETION.encode())


@pytest.mark.parametrize("written", ["", "<s>", "<s><s>"])
def test_chat_prompt_has_one_bos(written: str) -> None:
    """The ids begin with one BOS if the template writes none, one or two."""

    def template(messages: Sequence[Message]) -> str:
        return written + _text([asdict(turn) for turn in messages])

    tokenizer = FakeTokenizer(template=template)
    rendered = prompt(tokenizer, DESCRIPTION, AS_CHAT)
    assert rendered.text == written + _text(CHAT)
    assert rendered.token_ids == (tokenizer.bos_id, *_text(CHAT).encode())


def test_what_a_template_writes_stands_where_no_bos_is_added() -> None:
    """SmolLM2's template begins every turn with the token that is named as the BOS."""

    def template(messages: Sequence[Message]) -> str:
        return "<s>" + _text([asdict(turn) for turn in messages])

    tokenizer = FakeTokenizer(template=template, adds_bos=False)
    rendered = prompt(tokenizer, DESCRIPTION, AS_CHAT)
    assert rendered.token_ids == tokenizer.encode(rendered.text)
    assert rendered.token_ids[0] == tokenizer.bos_id


TEXT = (100, 101)


@pytest.mark.parametrize(
    ("adds", "bos", "repeated", "text", "leading"),
    [
        # What the tokenizer itself does.
        (True, "auto", False, "de", 1),
        (True, "auto", False, "<s>de", 1),
        (False, "auto", False, "de", 0),
        (False, "auto", False, "<s>de", 1),
        # As the authors' code: before what the template wrote.
        (True, "auto", True, "de", 1),
        (True, "auto", True, "<s>de", 2),
        (False, "auto", True, "<s>de", 1),
        # By option, regardless of the tokenizer.
        (False, "always", False, "de", 1),
        (True, "always", True, "<s>de", 1),
        (True, "never", False, "de", 0),
        (True, "never", True, "<s>de", 0),
        (False, "never", False, "de", 0),
        (False, "never", False, "<s>de", 1),
    ],
)
def test_leading_bos(*, adds: bool, bos: Bos, repeated: bool, text: str, leading: int) -> None:
    """The number of leading BOS, for each tokenizer, setting and template."""
    tokenizer = FakeTokenizer(adds_bos=adds)
    ids = prompt_ids(tokenizer, text, PromptSettings(bos=bos, repeated_bos=repeated))
    assert ids == (*[tokenizer.bos_id] * leading, *TEXT)


def test_turns_keep_their_own_bos() -> None:
    """A template that begins each turn with a BOS (Table 5) keeps every one of them."""

    def template(messages: Sequence[Message]) -> str:
        return "".join(f"<s>{turn.content}</s>" for turn in messages)

    tokenizer = FakeTokenizer(template=template)
    ids = prompt(tokenizer, DESCRIPTION, AS_CHAT).token_ids
    assert ids == tokenizer.encode(template([Message(**turn) for turn in CHAT]))
    assert ids.count(tokenizer.bos_id or -1) == len(CHAT)


@pytest.mark.parametrize(
    ("settings", "messages"), [(AS_CHAT, CHAT), (AS_SYSTEM_CHAT, CHAT_WITH_SYSTEM)]
)
def test_template_with_a_system_role(
    settings: PromptSettings, messages: list[dict[str, str]]
) -> None:
    """The setting decides whether the chat has a system message."""
    rendered = prompt(tiny_tokenizer(chat_template=TURNS), DESCRIPTION, settings)
    assert rendered.text == _text(messages)


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, DROPS_SYSTEM])
def test_template_without_a_system_role(template: str) -> None:
    """A template that refuses or drops the system message needs the user role."""
    tokenizer = tiny_tokenizer(chat_template=template)
    assert prompt(tokenizer, DESCRIPTION, AS_CHAT).text == _text(CHAT)
    with pytest.raises(ModelError, match="use --instruction-role user"):
        prompt(tokenizer, DESCRIPTION, AS_SYSTEM_CHAT)


@pytest.mark.parametrize(
    ("template", "reason"), [(REFUSES_ALL, "roles must alternate"), (BROKEN, "has no attribute")]
)
def test_template_that_takes_nothing(template: str, reason: str) -> None:
    """A template that refuses the chat fails with the model's name and its own reason."""
    with pytest.raises(ChatTemplateError, match=f"^tiny: chat template: .*{reason}"):
        prompt(tiny_tokenizer(chat_template=template), DESCRIPTION, AS_CHAT)


def test_template_asks_for_the_answer() -> None:
    """The template gets ``add_generation_prompt``."""
    template = TURNS + "{% if add_generation_prompt %}<assistant>{% endif %}"
    rendered = prompt(tiny_tokenizer(chat_template=template), DESCRIPTION, AS_CHAT)
    assert rendered.text == _text(CHAT) + "<assistant>"


def test_no_template() -> None:
    """Without a template only a completion prompt is possible."""
    tokenizer = tiny_tokenizer(chat_template=None)
    with pytest.raises(
        ModelError, match=r"^tiny: no chat template; use --prompt-format completion"
    ):
        prompt(tokenizer, DESCRIPTION, AS_CHAT)
    assert prompt(tokenizer, DESCRIPTION, AS_COMPLETION).text == COMPLETION


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            ("poem", "authors", "user", "auto"),
            "unknown prompt format 'poem'; choose one of completion",
        ),
        (
            ("completion", "table3", "user", "auto"),
            "unknown prompt variant 'table3'; .* authors, table2",
        ),
        (("chat", "table2", "user", "auto"), "--prompt-variant table2 is a wording of completions"),
        (("chat", "authors", "tool", "auto"), "unknown instruction role 'tool'; .* system, user"),
        (("chat", "authors", "user", "twice"), "unknown bos 'twice'; .* auto, always, never"),
    ],
)
def test_unknown_settings(given: tuple[str, str, str, str], reason: str) -> None:
    """The error for an unknown setting lists the known ones."""
    with pytest.raises(SettingError, match=reason):
        PromptSettings.checked(*given)
    assert PromptSettings.checked("completion", "authors", "user", "auto") == AS_COMPLETION


# One BOS


@given(ids=IDS, bos_id=st.integers(0, 4))
@example(ids=(), bos_id=0)
@example(ids=(0, 0, 1, 0), bos_id=0)
def test_one_bos_leads(ids: tuple[int, ...], bos_id: int) -> None:
    """The result has exactly one leading BOS, followed by the other ids."""
    first, *rest = with_one_bos(ids, bos_id)
    assert first == bos_id
    assert rest[:1] != [bos_id]
    leading = len(ids) - len(rest)
    assert list(ids) == [bos_id] * leading + rest


@given(ids=IDS, bos_id=st.integers(0, 4))
def test_one_bos_is_idempotent(ids: tuple[int, ...], bos_id: int) -> None:
    """Applying the function twice has no further effect."""
    once = with_one_bos(ids, bos_id)
    assert with_one_bos(once, bos_id) == once


@given(ids=IDS)
def test_no_bos_without_one(ids: tuple[int, ...]) -> None:
    """Without a BOS the ids are unchanged."""
    assert with_one_bos(ids, None) == ids
