"""Chat templates that take all time or memory within one operation in C."""

import os
import signal
import sys
import time
from collections.abc import Callable

import pytest

from benchmark.errors import ModelError
from benchmark.models.template_trial import fault_of
from benchmark.models.tokenizer import ChatTemplateError
from benchmark.records import Message
from fakes.tiny_tokenizer import tiny_tokenizer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems lack the limits")

CHAT = [Message("user", "hello")]

TIME, MEMORY, LENGTH = (
    "takes more than 1 s to render",
    "takes more than 1 GiB of memory",
    "writes more than 1 MiB",
)

DOUBLING = (
    "{% set a = namespace(x='x') %}{% for i in range(40) %}{% set a.x = a.x + a.x %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{{ 'x' * 9000000000 }}", MEMORY),
        ("{{ 10 ** (10 ** 9) }}", TIME),
        ("{% set x = 7 ** (10 ** 8) %}", TIME),
        ("{{ '%4000000000d' % 1 }}", MEMORY),
        ("{{ 'x'.center(9000000000) }}", MEMORY),
        ("{{ 'x' | center(9000000000) }}", MEMORY),
        ("{{ 'a\\nb' | indent(9000000000) }}", MEMORY),
        ("{% set x = ['x'] * 10 ** 10 %}", MEMORY),
        ("{% if false %}{{ 'x' * 9000000000 }}{% endif %}", MEMORY),
        ("{% if false %}{{ 'x' | center(9000000000) }}{% endif %}", MEMORY),
        ("{{ 'x' * 2 ** 20 }}y", LENGTH),
        ("{{ raise_exception('x' * 2 ** 21) }}", LENGTH),
        (
            DOUBLING,
            MEMORY,
        ),
    ],
)
def test_a_template_over_a_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, template: str, fault: str
) -> None:
    """The line names the model and the limit, and the next step."""
    monkeypatch.setattr("benchmark.models.tokenizer._RENDERING_LIMIT", 1)
    tokenizer = tiny_tokenizer(chat_template=template)
    start = time.monotonic()
    with pytest.raises(ModelError) as caught:
        tokenizer.render(CHAT)
    line = f"tiny: its chat template {fault}; use --prompt-format completion"
    assert str(caught.value) == line
    assert not isinstance(caught.value, ChatTemplateError)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("template", ["{{ range(10**12) | list }}", "{{ lipsum(10**9) }}"])
def test_other_templates_without_end_are_refused(
    monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    """The sandbox, or a limit, stops them."""
    monkeypatch.setattr("benchmark.models.tokenizer._RENDERING_LIMIT", 1)
    with pytest.raises(ModelError):
        tiny_tokenizer(chat_template=template).render(CHAT)


def test_each_form_of_chat_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer chat is tried again, another text is not."""
    trials: list[float] = []

    def trial(render: Callable[[], str], seconds: float) -> str:
        trials.append(seconds)
        return fault_of(render, seconds)

    monkeypatch.setattr("benchmark.models.tokenizer.fault_of", trial)
    tokenizer = tiny_tokenizer(
        chat_template="{{ messages[0].content }}{% if messages | length > 2 %}"
        "{{ 'x'.center(9000000000) }}{% endif %}"
    )
    assert [tokenizer.render([Message("user", text)]) for text in "abc"] == ["a", "b", "c"]
    assert len(trials) == 1
    with pytest.raises(ModelError, match=MEMORY):
        tokenizer.render(CHAT * 3)


def test_a_long_chat_is_refused_later_too() -> None:
    """The bound of the length also holds for chats of a form that was tried."""
    tokenizer = tiny_tokenizer(chat_template="{{ messages[0].content }}")
    tokenizer.render(CHAT)
    with pytest.raises(ModelError, match=LENGTH):
        tokenizer.render([Message("user", "\u00e9" * 2**19 + "x")])


def test_a_crash_is_named() -> None:
    """A trial that ends with a signal says which."""

    def crash() -> str:
        os.kill(os.getpid(), signal.SIGUSR1)
        return ""

    assert fault_of(crash, 1) == f"ends its process with signal {int(signal.SIGUSR1)}"


def test_errors_are_left_to_the_rendering() -> None:
    """A template that rejects a chat keeps its own error."""
    tokenizer = tiny_tokenizer(chat_template="{{ raise_exception('no system role') }}")
    with pytest.raises(ChatTemplateError, match="no system role"):
        tokenizer.render(CHAT)
