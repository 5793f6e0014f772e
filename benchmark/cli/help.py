"""Help pages in plain text: verbs in groups, options in panels, an example for each verb.

Rich would take as long as everything else that ``--help`` does.
"""

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from typer import TyperException
from typer.core import TyperCommand, TyperGroup

from benchmark.cli.renamed import check_json_flag, check_renamed
from benchmark.cli.writing import check_distinct_files

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter, Parameter

OPTIONS = "Options"
"""The panel of options that name no other, and of ``--help``."""

SHARED_PANELS = ("States", "Decoding", "Output")
"""The panels of shared options, in the order of every help page."""

_INDENTED = 4


class VerbCommand(TyperCommand):
    """A verb. Its epilogue is an example, as the arguments that follow the verb."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Parse the arguments; ``--json FILE`` is a usage error with the command to use."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            check_json_flag(ctx, given, error)
            raise

    def invoke(self, ctx: "Context") -> object:
        """Run the verb, unless a file that it would write is also another of its files."""
        check_distinct_files([(p.opts[0], ctx.params.get(p.name or "")) for p in self.params])
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: "Context") -> list[str]:
        """Return the words after the verb in the usage line: ``[OPTIONS] OLD NEW``."""
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        names = [(_argument_name(argument), argument.required) for argument in arguments]
        return ["[OPTIONS]", *(name if required else f"[{name}]" for name, required in names)]

    def format_options(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write arguments and options, one section per panel."""
        _write_panels(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the example as a command that can be pasted into a shell."""
        if not self.epilog:
            return
        formatter.write_paragraph()
        formatter.write("Example:\n")
        words = [*ctx.command_path.split(), *shlex.split(self.epilog)]
        for line in command_lines(words, formatter.width - 2):
            formatter.write(f"  {line}\n")


class VerbGroup(TyperGroup):
    """Verbs under their groups' names; verbs that were renamed name the new command."""

    command_class = VerbCommand

    def format_options(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the verbs group by group, then the options."""
        self.format_commands(ctx, formatter)
        _write_panels(self.get_params(ctx), ctx, formatter)

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write one section per group, in the order of the verbs."""
        sections = dict[str, list[tuple[str, str]]]()
        for name in self.list_commands(ctx):
            command = self.commands[name]
            panel = str(getattr(command, "rich_help_panel", None) or "Commands")
            rows = sections.setdefault(panel, [])
            rows.append((name, first_paragraph(command.help)))
        widest = max(len(name) for rows in sections.values() for name, _ in rows)
        for panel, rows in sections.items():
            with formatter.section(panel):
                formatter.write_dl([(name.ljust(widest), text) for name, text in rows])

    def format_epilog(self, ctx: "Context", formatter: "HelpFormatter") -> None:  # noqa: ARG002  # Click's signature
        """Write the epilogue line by line, as it is."""
        if self.epilog:
            formatter.write_paragraph()
            formatter.write(f"{self.epilog}\n")

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> "tuple[str | None, Command | None, list[str]]":
        """Return the verb; one that was renamed is a usage error with the new command."""
        if ctx.parent is None and args[0] not in self.commands:
            check_renamed(ctx, args)
        return super().resolve_command(ctx, args)


def first_paragraph(text: str | None) -> str:
    """Return the first paragraph in one line; it is not cut off, as Click would do."""
    return " ".join((text or "").partition("\n\n")[0].split())


def command_lines(words: Sequence[str], width: int) -> list[str]:
    """Return a command as lines of a shell that are at most ``width`` characters long."""
    parts = list[str]()
    for word in map(shlex.quote, words):
        # An option stays with its value.
        if parts and parts[-1].startswith("--") and " " not in parts[-1] and word[0] != "-":
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    lines = [parts[0]]
    for part in parts[1:]:
        # Two characters for the backslash of a line that goes on.
        if len(f"{lines[-1]} {part}") > width - 2:
            lines[-1] += " \\"
            lines.append(" " * _INDENTED + part)
        else:
            lines[-1] += f" {part}"
    return lines


def _argument_name(parameter: "Parameter") -> str:
    """Return the placeholder of an argument, followed by dots if it can be repeated."""
    name = getattr(parameter, "metavar", None) or str(parameter.name).upper()
    return name if parameter.nargs == 1 else f"{name}..."


def _write_panels(
    parameters: "Iterable[Parameter]", ctx: "Context", formatter: "HelpFormatter"
) -> None:
    # A verb's own panels first, then the shared ones in the same order everywhere.
    panels = dict[str, list[tuple[str, str]]]({"Arguments": [], OPTIONS: []})
    for parameter in parameters:
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        own = getattr(parameter, "rich_help_panel", None)
        usual = "Arguments" if parameter.param_type_name == "argument" else OPTIONS
        if parameter.param_type_name == "argument":
            record = _argument_name(parameter), record[1]
        panels.setdefault(own or usual, []).append(record)
    last = [name for name in SHARED_PANELS if name in panels]
    ordered = [*(name for name in panels if name not in last), *last]
    for name, records in ((name, panels[name]) for name in ordered):
        if records:
            with formatter.section(name):
                formatter.write_dl(records)
