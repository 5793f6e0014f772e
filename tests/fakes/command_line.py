"""The command line without a separate process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from benchmark.cli.app import main

ENVIRONMENT = {"COLUMNS": "80", "NO_COLOR": "1"}


def command_line(*arguments: str | Path) -> CompletedProcess[str]:
    """Run ``python -m benchmark ARGUMENTS`` in this process and return its output and exit code.

    It calls the same ``main()``; a separate process would spend seconds on importing torch.
    """
    words = list(map(str, arguments))
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["benchmark", *words])
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert isinstance(code, int)
    return CompletedProcess(words, code, out.getvalue(), errors.getvalue())
