"""How every command ends: an error is one line on stderr and an exit code, never a traceback."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.fields import ProblemsError
from pulley.cli.terminal import printable
from pulley.cli.where import at_stage

# docs/cli.md says what each is for.
FAILED, NOT_WELL, NOT_CONFIRMED, INTERRUPTED = 1, 3, 4, 130


class CommandGroup(click.Group):
    """Commands that are found by name, each in its module under that name."""

    def __init__(self, *, modules: Mapping[str, str], **arguments: Any) -> None:  # noqa: ANN401 - click's
        """`modules` has each command's module, in the order in which help shows them."""
        super().__init__(**arguments)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command's name, in the order of a first use."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a command; None where there is none of this name."""
        if cmd_name not in self._modules:
            return None
        module = import_module(self._modules[cmd_name])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command, and say what went wrong in its own words."""
        try:
            return super().invoke(ctx)
        except ProblemsError as error:
            for problem in error.problems:
                click.echo(f"Error: {printable(at_stage(problem))}", err=True)
            raise click.exceptions.Exit(FAILED) from None
        except PulleyError as error:
            click.echo(f"Error: {printable(at_stage(error.in_full))}", err=True)
            raise click.exceptions.Exit(FAILED) from None
        except click.UsageError as error:
            raise click.UsageError(printable(error.format_message()), error.ctx) from None
        except click.ClickException as error:
            raise click.ClickException(printable(error.format_message())) from None
        except click.Abort:  # at a question that is no `confirm`, whose line has not ended
            click.echo("\nInterrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
