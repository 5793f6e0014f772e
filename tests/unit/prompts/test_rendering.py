"""The two formats of the prompt, byte by byte, and how a prompt begins."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark.errors import ModelError, SettingError
from benchmark.models.tokenizer import TemplateRefusalError, Tokenizer, TransformersTokenizer
from benchmark.prompts.rendering import FORMATS, chat, completion, prompt, with_one_bos
from benchmark.records import Message

GOLDEN = Path(__file__).parents[3] / "fixtures" / "prompts"
DESCRIPTION = (GOLDEN / "description.txt").read_text(encoding="utf-8").rstrip("\n")
COMPLETION = (GOLDEN / "completion.txt").read_text(encoding="utf-8")
CHAT = json.loads((GOLDEN / "chat.json").read_text(encoding="utf-8"))
CHAT_WITHOUT_SYSTEM = json.loads((GOLDEN / "chat_without_system.json").read_text(encoding="utf-8"))

IDS = st.lists(st.integers(0, 4)).map(tuple)

TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + TURNS
)
DROPS_SYSTEM = TURNS.replace("in messages", "in messages if m.role != 'system'")
REFUSES_ALL = "{{ raise_exception('Conversation roles must alternate') }}"
BROKEN = "{{ messages[0].role.nothing.at_all }}"

TinyTokenizer = Callable[..., TransformersTokenizer]
Fake = Callable[..., Tokenizer]


def _text(messages: Sequence[dict[str, str]]) -> str:
    """What the template ``TURNS`` makes of the messages."""
    return "".join(f"<{turn['role']}>{turn['content']}</>" for turn in messages)


# The text


def test_completion() -> None:
    """The completion prompt is Table 2's, up to where the model writes its statement."""
    assert completion(DESCRIPTION) == COMPLETION


def test_chat() -> None:
    """The chat prompt is Table 5's, with the instruction as the system message."""
    assert [asdict(turn) for turn in chat(DESCRIPTION)] == CHAT


def test_chat_without_system() -> None:
    """Without a system role the instruction is a user turn that the assistant answers Okay."""
    assert [asdict(turn) for turn in chat(DESCRIPTION, system=False)] == CHAT_WITHOUT_SYSTEM


@pytest.mark.parametrize("system", [True, False])
def test_chat_takes_turns(*, system: bool) -> None:
    """After the system message user and assistant alternate, and the user speaks last."""
    roles = [turn.role for turn in chat(DESCRIPTION, system=system)]
    if system:
        assert roles.pop(0) == "system"
    assert roles == [("user", "assistant")[place % 2] for place in range(len(roles))]
    assert roles[-1] == "user"


# The rendered prompt


def test_prompt_to_complete(fake_tokenizer: Fake) -> None:
    """The prompt's ids are those of its text after one BOS."""
    tokenizer = fake_tokenizer()
    rendered = prompt(tokenizer, DESCRIPTION, "completion")
    assert rendered.text == COMPLETION
    assert rendered.token_ids == (tokenizer.bos_id, *COMPLETION.encode())


def test_prompt_of_a_model_without_bos(fake_tokenizer: Fake) -> None:
    """Where the model has no BOS, none is put before the text."""
    rendered = prompt(fake_tokenizer(bos_id=None), DESCRIPTION, "completion")
    assert rendered.token_ids == tuple(COMPLETION.encode())


@pytest.mark.parametrize("written", ["", "<s>", "<s><s>"])
def test_chat_prompt_has_one_bos(fake_tokenizer: Fake, written: str) -> None:
    """Whether the template writes no BOS, one or two, the ids begin with one."""

    def template(messages: Sequence[Message]) -> str:
        return written + _text([asdict(turn) for turn in messages])

    tokenizer = fake_tokenizer(template=template)
    rendered = prompt(tokenizer, DESCRIPTION, "chat")
    assert rendered.text == written + _text(CHAT)
    assert rendered.token_ids == (tokenizer.bos_id, *_text(CHAT).encode())


def test_turns_keep_their_own_bos(fake_tokenizer: Fake) -> None:
    """A template that begins each turn with a BOS (Table 5) keeps every one of them."""

    def template(messages: Sequence[Message]) -> str:
        return "".join(f"<s>{turn.content}</s>" for turn in messages)

    tokenizer = fake_tokenizer(template=template)
    ids = prompt(tokenizer, DESCRIPTION, "chat").token_ids
    assert ids == tokenizer.encode(template([Message(**turn) for turn in CHAT]))
    assert ids.count(tokenizer.bos_id or -1) == len(CHAT)


def test_template_with_a_system_role(tiny_tokenizer: TinyTokenizer) -> None:
    """A template that takes the system message gets it."""
    rendered = prompt(tiny_tokenizer(chat_template=TURNS), DESCRIPTION, "chat")
    assert rendered.text == _text(CHAT)


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, DROPS_SYSTEM])
def test_template_without_a_system_role(tiny_tokenizer: TinyTokenizer, template: str) -> None:
    """One that refuses the system message, or drops it unsaid, gets it as a user turn."""
    rendered = prompt(tiny_tokenizer(chat_template=template), DESCRIPTION, "chat")
    assert rendered.text == _text(CHAT_WITHOUT_SYSTEM)
    assert "<assistant>Okay.</>" in rendered.text


@pytest.mark.parametrize(
    ("template", "reason"), [(REFUSES_ALL, "roles must alternate"), (BROKEN, "has no attribute")]
)
def test_template_that_takes_nothing(
    tiny_tokenizer: TinyTokenizer, template: str, reason: str
) -> None:
    """A template that takes neither form fails with the model's name and its own reason."""
    with pytest.raises(TemplateRefusalError, match=f"^tiny: chat template: .*{reason}"):
        prompt(tiny_tokenizer(chat_template=template), DESCRIPTION, "chat")


def test_template_asks_for_the_answer(tiny_tokenizer: TinyTokenizer) -> None:
    """The template is told to end where the assistant's answer begins."""
    template = TURNS + "{% if add_generation_prompt %}<assistant>{% endif %}"
    rendered = prompt(tiny_tokenizer(chat_template=template), DESCRIPTION, "chat")
    assert rendered.text == _text(CHAT) + "<assistant>"


def test_no_template(tiny_tokenizer: TinyTokenizer) -> None:
    """Without a template a chat prompt is refused with the format to use; completion works."""
    tokenizer = tiny_tokenizer(chat_template=None)
    with pytest.raises(
        ModelError, match=r"^tiny: no chat template; use --prompt-format completion"
    ):
        prompt(tokenizer, DESCRIPTION, "chat")
    assert prompt(tokenizer, DESCRIPTION, "completion").text == COMPLETION


def test_unknown_format(fake_tokenizer: Fake) -> None:
    """A format that does not exist is refused with those that do."""
    with pytest.raises(SettingError, match="no prompt format 'poem'") as refused:
        prompt(fake_tokenizer(), DESCRIPTION, "poem")
    assert all(known in str(refused.value) for known in FORMATS)


# One BOS


@given(ids=IDS, bos_id=st.integers(0, 4))
@example(ids=(), bos_id=0)
@example(ids=(0, 0, 1, 0), bos_id=0)
def test_one_bos_leads(ids: tuple[int, ...], bos_id: int) -> None:
    """There is exactly one leading BOS, and after it the ids as they were."""
    first, *rest = with_one_bos(ids, bos_id)
    assert first == bos_id
    assert rest[:1] != [bos_id]
    leading = len(ids) - len(rest)
    assert list(ids) == [bos_id] * leading + rest


@given(ids=IDS, bos_id=st.integers(0, 4))
def test_one_bos_is_idempotent(ids: tuple[int, ...], bos_id: int) -> None:
    """Asking twice changes nothing more."""
    once = with_one_bos(ids, bos_id)
    assert with_one_bos(once, bos_id) == once


@given(ids=IDS)
def test_no_bos_without_one(ids: tuple[int, ...]) -> None:
    """A model without BOS gets the ids as they are."""
    assert with_one_bos(ids, None) == ids
