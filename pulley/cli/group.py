"""Find and run commands. An error becomes a line on stderr and an exit code.

Listing commands, completing a name and printing the version import no command.
"""

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from warnings import catch_warnings

import click
from click.shell_completion import CompletionItem

from chalicelib.core.errors import PulleyError
from chalicelib.core.fields import ProblemsError
from chalicelib.status.safe_text import printable
from pulley.cli.formatter import WholeWords
from pulley.cli.streams import give_up, prepare, takes_no_more
from pulley.fit import fitted, width_of

# docs/cli.md says what each is for.
_WHOLE = 1000  # characters: more than any summary has
FAILED, NOT_WELL, NOT_CONFIRMED, INTERRUPTED = 1, 3, 4, 130


@dataclass(frozen=True)
class Listed:
    """An entry in the list of commands. The command is in `module`, under its own name."""

    module: str
    summary: str


class NamedGroup(click.Group):
    """A group of commands. The error for an unknown name suggests the nearest known one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first argument."""
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            from pulley.operator.near import did_you_mean  # only mistakes need it

            raise click.UsageError(f"there is no command {name}{did_you_mean(name, known)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands. click's own method would shorten their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(one, self.summary_of(ctx, one)) for one in self.list_commands(ctx)]
            )

    def summary_of(self, ctx: click.Context, name: str) -> str:
        """A command's line in the list."""
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=_WHOLE) if command else ""


class CommandGroup(NamedGroup):
    """A group whose commands are imported only when they are called."""

    def __init__(self, *, listed: Mapping[str, Listed], **arguments: Any) -> None:  # noqa: ANN401 - click's
        """`listed` is in the order in which help shows it."""
        super().__init__(**arguments)
        self._listed = listed

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command's name, in the order in which help shows it."""
        return list(self._listed)

    def summary_of(self, ctx: click.Context, name: str) -> str:  # noqa: ARG002 - not imported for it
        """A command's line in the list."""
        return self._listed[name].summary

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a command; None for an unknown name.

        Raises ClickException if the command needs a package that is not installed.
        """
        if cmd_name not in self._listed:
            return None
        try:
            with catch_warnings(action="ignore"):  # moto warns of missing packages; see below
                module = import_module(self._listed[cmd_name].module)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in {"", "pulley", "chalicelib"}:
                raise
            raise click.ClickException(
                f'pulley {cmd_name} needs the extra "sandbox", which is not installed (no module '
                f"{error.name}). In a clone of Pulley: pipx install --force '.[sandbox]', or "
                "pip install '.[sandbox]'"
            ) from None
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, or an option of pulley itself."""
        names = [
            CompletionItem(name, help=one.summary)
            for name, one in self._listed.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def main(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run the program. If its output cannot be written, say why, and exit with FAILED."""
        prepare()
        click.Context.formatter_class = WholeWords  # for every command's help
        try:
            try:
                return super().main(*arguments, **named)
            finally:
                sys.stdout.flush()  # or Python would complain at its end, in its own words
        except OSError as error:
            if not takes_no_more(error):
                raise
            with suppress(OSError):  # it may be stderr that takes no more
                if not isinstance(error, BrokenPipeError):  # the reader has seen enough
                    click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
            give_up()
            sys.exit(FAILED)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command, and turn an error into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except ProblemsError as error:
            for problem in error.problems:
                click.echo(f"Error: {_shown(problem)}", err=True)
            raise click.exceptions.Exit(NOT_WELL) from None
        except PulleyError as error:
            click.echo(f"Error: {_shown(error.in_full)}", err=True)
            raise click.exceptions.Exit(FAILED) from None
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise click.UsageError(_shown(error.format_message()), error.ctx) from None
        except click.ClickException as error:
            raise click.ClickException(_shown(error.format_message())) from None
        except click.Abort:  # Ctrl-C at a prompt, whose line has not ended
            click.echo("\nInterrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


def _shown(message: str) -> str:
    """An error's message, which follows "Error: ", in lines that fit the terminal."""
    before = "Error: "
    return fitted(f"{before}{printable(message)}", width_of(sys.stderr)).removeprefix(before)


def version_option() -> click.Option:
    """`--version`: print the installed version, and exit."""

    def show(ctx: click.Context, _option: click.Parameter, is_asked: bool) -> None:  # noqa: FBT001 - click's
        if is_asked:
            from importlib.metadata import version  # it is slow to load

            click.echo(f"pulley {version('pulley')}")
            ctx.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Print the version.",
    )
