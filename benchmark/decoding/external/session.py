"""An engine's process that is kept between several uses."""

from dataclasses import dataclass

from benchmark.decoding.external.launch import LaunchCommand
from benchmark.decoding.external.messages import EngineSetup
from benchmark.decoding.external.process import EngineProcess


@dataclass
class EngineSession:
    """At most one process; a use with another setup starts another one.

    Attributes:
        keep: whether it is kept after a use, for the next one with the same setup.
    """

    keep: bool = False
    _process: EngineProcess | None = None
    _setup: EngineSetup | None = None

    def process(self, command: LaunchCommand, setup: EngineSetup) -> EngineProcess:
        """Return the process with this setup, started if it does not run.

        Raises:
            EngineProcessError: if it does not start.
        """
        if self._process is None or self._setup != setup:
            self.close()
            self._process = EngineProcess("vllm", *command, setup)
            self._setup = setup
        return self._process

    def release(self) -> None:
        """End a use."""
        if not self.keep:
            self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process = None
