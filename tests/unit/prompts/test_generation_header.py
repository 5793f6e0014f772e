"""A prompt ends where an answer begins: in the header that the template writes before answers."""

import re

import pytest

from benchmark.models.tokenizer import ChatTemplateError
from benchmark.prompts.chat_rendering import RenderedChat
from benchmark.prompts.rendering import demonstrations, rendered_chat
from fakes.tiny_tokenizer import tiny_tokenizer

DESCRIPTION = "Box 0 contains the map, Box 1 contains nothing."

PLAIN = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n@{% endif %}"
)
"""A template that adds the text in place of ``@`` when it is asked for an answer."""

HARMONY = (
    "{% for m in messages %}<|start|>{{ m.role }}"
    "{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ m.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant@{% endif %}"
)
"""The format of gpt-oss, in which an answer is a message in the final channel."""

LAST_THINKS = (
    "{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' and loop.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% if enable_thinking is defined and not "
    "enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""The format of Qwen3: an empty block of reasoning only before the last answer."""

EMPTY_THOUGHTS = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}\n<think></think>"
    "{% endif %}\n{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""The format of GLM-4.5: an empty block of reasoning before each answer in the chat."""

RESPONSES = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}<|START_RESPONSE|>"
    "{% endif %}{{ m.content }}<|END|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>@{% endif %}"
)
"""The format of Command A Reasoning: answers have a tag of their own, after the reasoning."""


def _rendered(template: str, tail: str = "") -> tuple[str, RenderedChat]:
    """Return the text after the query, and the rendered chat."""
    tokenizer = tiny_tokenizer(chat_template=template.replace("@", tail))
    rendered = rendered_chat(tokenizer, DESCRIPTION, "user", demonstrations())
    return rendered.text.rpartition(DESCRIPTION)[2], rendered


@pytest.mark.parametrize(
    ("template", "tail", "ending"),
    [
        (PLAIN, "", "<|end|>\n<|assistant|>\n"),
        (LAST_THINKS, "", "<|end|>\n<|assistant|>\n"),
        (EMPTY_THOUGHTS, "", "<|assistant|>"),
        (PLAIN, "<think>\n\n</think>\n\n", "<|end|>\n<|assistant|>\n<think>\n\n</think>\n\n"),
        (PLAIN, "<think>Skip it.</think>", "<|end|>\n<|assistant|>\n<think>Skip it.</think>"),
    ],
)
def test_the_header_of_an_answer_is_left_as_it_is(template: str, tail: str, ending: str) -> None:
    """Nothing is added to a header, with or without a closed block of reasoning."""
    text, rendered = _rendered(template, tail)
    assert text == ending
    assert (rendered.closed_reasoning, rendered.completed_header) == ("", "")


@pytest.mark.parametrize(
    ("tail", "close"),
    [
        ("<think>", "</think>"),
        ("<think>\n", "</think>"),
        ("<think>\n \n\n", "</think>"),
        ("<think>\nOkay, let me look at every box. ", "</think>"),
        ("<think>a</think><think>\n", "</think>"),
        ("<scratchpad>\n", "</scratchpad>"),
        ("<reasoning>", "</reasoning>"),
        ("[THINK]", "[/THINK]"),
        ("<|START_THINKING|>\n", "<|END_THINKING|>"),
    ],
)
def test_an_open_block_is_closed(tail: str, close: str) -> None:
    """A block with known tags is closed, whatever follows its opening tag; the chat says so."""
    text, rendered = _rendered(PLAIN, tail)
    assert text == f"<|end|>\n<|assistant|>\n{tail}\n{close}\n\n"
    assert rendered.as_json() == {
        "content_parts": False,
        "closed_reasoning": f"\n{close}\n\n",
        "completed_header": None,
        "omitted_header": None,
    }


def test_harmony() -> None:
    """The answer is in the final channel, if the template opens the analysis or no channel."""
    final = "<|channel|>final<|message|>"
    text, rendered = _rendered(HARMONY)
    assert text == f"<|end|><|start|>assistant{final}"
    assert (rendered.closed_reasoning, rendered.completed_header) == ("", final)
    analysis = "<|channel|>analysis<|message|>"
    text, rendered = _rendered(HARMONY, analysis)
    assert text == f"<|end|><|start|>assistant{analysis}<|end|><|start|>assistant{final}"
    assert rendered.completed_header == ""
    assert _rendered(HARMONY, final)[1].as_json() == _rendered(PLAIN)[1].as_json()


def test_a_tag_before_answers_is_added() -> None:
    """A header that the template begins is completed, also after a block that is closed."""
    assert _rendered(RESPONSES)[0] == "<|END|><|assistant|><|START_RESPONSE|>"
    text, rendered = _rendered(RESPONSES, "<|START_THINKING|>")
    closing = "\n<|END_THINKING|>\n\n"
    assert text == f"<|END|><|assistant|><|START_THINKING|>{closing}<|START_RESPONSE|>"
    assert (rendered.closed_reasoning, rendered.completed_header) == (closing, "<|START_RESPONSE|>")


@pytest.mark.parametrize(
    "tail",
    [
        "<inner_monologue>\n",
        "<|channel|>commentary<|message|>",
        "[REFLECT]",
        "Let me think step by step.",
        "<think></think><plan>",
        "```\n",
    ],
)
@pytest.mark.parametrize("template", [PLAIN, HARMONY])
def test_anything_else_is_refused(template: str, tail: str) -> None:
    """The line names the model, shows the end of the prompt and says what to do."""
    shown = re.escape(repr(tail)[1:-1])
    remedy = "use --prompt-format completion$"
    with pytest.raises(ChatTemplateError, match=rf"^tiny: .* ends with '.*{shown}', .*{remedy}"):
        _rendered(template, tail)


def test_it_is_refused_if_the_template_always_writes_it() -> None:
    """A tail that does not depend on whether an answer is asked for is refused, too."""
    always = PLAIN.replace("{% if add_generation_prompt %}", "{% if true %}")
    with pytest.raises(ChatTemplateError, match="inner_monologue"):
        _rendered(always, "<inner_monologue>")
    assert _rendered(always, "<think>")[1].closed_reasoning == "\n</think>\n\n"


def test_a_template_without_a_header() -> None:
    """One that adds nothing for an answer is used as it is, and the missing header is recorded."""
    bare = PLAIN.partition("{% if add_generation_prompt %}")[0]
    text, rendered = _rendered(bare)
    assert text == "<|end|>\n"
    assert rendered.completed_header == ""
    assert rendered.omitted_header == "<|assistant|>"


def test_a_template_that_takes_no_answer_at_the_end() -> None:
    """The examples in the chat suffice to know the header."""
    strict = (
        "{% if messages[-1].role != 'user' %}{{ raise_exception('ends with a user') }}{% endif %}"
    )
    assert _rendered(strict + PLAIN)[0] == "<|end|>\n<|assistant|>\n"
    with pytest.raises(ChatTemplateError, match="<plan>"):
        _rendered(strict + PLAIN, "<plan>")


def test_a_long_tail_is_shortened() -> None:
    """Only the end of a long text is shown."""
    with pytest.raises(ChatTemplateError, match=r"ends with '\.\.\.(step ){16}'"):
        _rendered(PLAIN, "step " * 100)
