"""Chat templates that take all time or memory within one operation in C."""

import fcntl
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmark.errors import ModelError
from benchmark.models import template_process
from benchmark.models.template_process import ChatRenderer, RenderingLimitError, Turns
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


@pytest.mark.parametrize(
    "template", ["{{ range(10**12) | list }}", "{{ lipsum(10**9) }}", DOUBLING]
)
def test_other_templates_without_end_are_refused(
    monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    """The sandbox, or one of the limits, stops them."""
    monkeypatch.setattr("benchmark.models.tokenizer._RENDERING_LIMIT", 1)
    with pytest.raises(ModelError):
        tiny_tokenizer(chat_template=template).render(CHAT)


LATE = "{{{{ messages[0].content }}}}{{% if 'key' in messages[0].content %}}{}{{% endif %}}"


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("{{ messages[0].content * 10 ** 12 }}", MEMORY),
        ("{% set x = range(10 ** 5) | list * 10 ** 6 %}", MEMORY),
        ("{{ (messages | length + 6) ** (10 ** 8) }}", TIME),
        (
            "{% for i in range(10 ** 5) %}{% for j in range(10 ** 5) %}{% endfor %}{% endfor %}",
            TIME,
        ),
        ("{{ messages[0].content * 2 ** 20 }}", LENGTH),
    ],
)
def test_a_later_text_is_limited_too(
    monkeypatch: pytest.MonkeyPatch, expression: str, fault: str
) -> None:
    """A template that is hostile to one text, and that was harmless for others of the same form."""
    monkeypatch.setattr("benchmark.models.tokenizer._RENDERING_LIMIT", 1)
    tokenizer = tiny_tokenizer(chat_template=LATE.format(expression))
    assert [tokenizer.render([Message("user", text)]) for text in "abc"] == ["a", "b", "c"]
    with pytest.raises(ModelError, match=fault):
        tokenizer.render([Message("user", "the key")])
    assert tokenizer.render([Message("user", "d")]) == "d"


def test_nothing_is_rendered_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """One child renders all chats; it is replaced if it was idle, and in a fork of this process."""
    monkeypatch.setattr(template_process, "_IDLE", 0.05)
    renderer = ChatRenderer(lambda turns, _: f"{turns[0]['role']} {os.getpid()}", 1)

    def rendered(role: str) -> str:
        role, process = renderer.render([{"role": role}], generation=True).split()
        assert int(process) != os.getpid()
        return f"{role} {process}"

    first = rendered("a")
    assert rendered("b").split()[1] == first.split()[1]
    time.sleep(0.3)
    later = rendered("c")
    assert later.split()[1] != first.split()[1]
    fork = os.fork()
    if fork == 0:
        os._exit(rendered("d").split()[1] == later.split()[1])
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0


def test_texts_are_passed_exactly() -> None:
    """In both directions: line ends, other planes, half of a surrogate pair."""
    text = "a\r\n\u2028\0\U0001f5dd\ud83d\x1b[2J"
    renderer = ChatRenderer(lambda turns, generation: f"{turns[0]['content']}{generation}", 1)
    assert renderer.render([{"content": text}], generation=False) == f"{text}False"


def test_another_template_is_another_renderer() -> None:
    """The tokenizer's template may be replaced."""
    tokenizer = tiny_tokenizer(chat_template="one")
    assert tokenizer.render(CHAT) == "one"
    tokenizer.raw.chat_template = "two"
    assert tokenizer.render(CHAT) == "two"


def test_other_systems_render_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bounds of time and length."""
    monkeypatch.setattr(sys, "platform", "other")
    renderer = ChatRenderer(lambda turns, _: str(os.getpid()) * int(str(turns[0]["n"])), 1)
    assert renderer.render([{"n": 1}], generation=True) == str(os.getpid())
    with pytest.raises(RenderingLimitError, match=LENGTH):
        renderer.render([{"n": 2**20}], generation=True)

    def endless(*_: object) -> str:
        while True:
            pass

    with pytest.raises(RenderingLimitError, match=r"takes more than 0\.1 s"):
        ChatRenderer(endless, 0.1).render([], generation=True)


def test_a_crash_is_named() -> None:
    """A process that ends with a signal or a code says which."""

    def crash(turns: Turns, _: bool) -> str:  # noqa: FBT001
        os.kill(os.getpid(), int(str(turns[0]["signal"])))
        sys.exit(0)

    renderer = ChatRenderer(crash, 1)
    for number, words in ((int(signal.SIGUSR1), "signal 10"), (0, "code 1")):
        with pytest.raises(RenderingLimitError, match=f"ends its process with {words}"):
            renderer.render([{"signal": number}], generation=True)


def test_errors_are_left_to_the_rendering() -> None:
    """A template that rejects a chat keeps its own error."""
    tokenizer = tiny_tokenizer(chat_template="{{ raise_exception('no system role') }}")
    with pytest.raises(ChatTemplateError, match="no system role"):
        tokenizer.render(CHAT)


def _process(renderer: ChatRenderer) -> int:
    """Return the process that a renderer of :func:`_own_number` runs in."""
    return int(renderer.render([], generation=True))


def _own_number(*_: object) -> str:
    return str(os.getpid())


def test_the_child_holds_no_lock(tmp_path: Path) -> None:
    """It has the standard descriptors and its pipes only."""
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        renderer = ChatRenderer(lambda *_: " ".join(os.listdir("/proc/self/fd")), 1)  # noqa: PTH208
        assert len(renderer.render([], generation=True).split()) <= 3 + 2 + 1  # and the list's own
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_dropped_children_are_no_zombies() -> None:
    """They end when their renderer is dropped, and the next child's start reads their status."""
    dropped = [_process(ChatRenderer(_own_number, 1)) for _ in range(3)]
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{process}").exists() for process in dropped):
        assert time.monotonic() < deadline
        _process(ChatRenderer(_own_number, 1))


def test_the_thread_that_started_the_child_may_end() -> None:
    """The system then ends the child; the next chat gets another one."""
    renderer = ChatRenderer(_own_number, 1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_process, renderer).result()
    deadline = time.monotonic() + 10
    while _process(renderer) == first:  # the system's thread ends a little after Python's
        assert time.monotonic() < deadline


def test_the_status_of_children_may_be_lost() -> None:
    """With SIGCHLD ignored, as after a shell's ``trap '' CHLD``."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        renderer = ChatRenderer(lambda *_: os._exit(3), 1)
        with pytest.raises(RenderingLimitError, match="does not end"):
            renderer.render([], generation=True)
        assert _process(ChatRenderer(_own_number, 1))
    finally:
        signal.signal(signal.SIGCHLD, before)
