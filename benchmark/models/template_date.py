"""Give chat templates a fixed date, so that a prompt is the same every day.

Templates write today's date in two ways: from the variable ``date_string`` (Llama 3.1), or by
calling ``strftime_now`` (Granite 3, SmolLM3, Mistral Small 3).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from types import ModuleType
from typing import Self

DAY = datetime(2024, 5, 31)  # noqa: DTZ001  # a template writes the date of no time zone
"""The date that chat templates get as today's."""


class _FixedDate(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return the fixed date."""
        return cls(DAY.year, DAY.month, DAY.day, tzinfo=tz)


@contextmanager
def fixed_date() -> Iterator[dict[str, object]]:
    """Fix the date in templates of transformers, and yield further arguments for a template.

    transformers 5.23 replaces functions among the arguments by text. Therefore the clock of its own
    ``strftime_now`` is replaced; an older release without it gets a function as an argument.
    """
    arguments: dict[str, object] = {"date_string": DAY.strftime("%d %b %Y")}
    module = _template_module()
    if module is None:
        yield {**arguments, "strftime_now": DAY.strftime}
        return
    clock = module.datetime
    setattr(module, "datetime", _FixedDate)  # noqa: B010  # a module has no such attribute for mypy
    try:
        yield arguments
    finally:
        setattr(module, "datetime", clock)  # noqa: B010


def _template_module() -> ModuleType | None:
    """Return the module of transformers whose clock templates read, None in older releases."""
    try:
        from transformers.utils import chat_template_utils
    except ImportError:
        return None
    return chat_template_utils if hasattr(chat_template_utils, "datetime") else None
