"""The options that commands share, and the stage that these select."""

import math
import os
import re
from collections.abc import Callable
from functools import wraps
from typing import IO, Any

import click

from chalicelib.core.refs import RefError, Repository
from chalicelib.settings import STAGE_NAME
from pulley.operator.stage.stage import Stage
from pulley.operator.suggest import DEFAULT_STAGE, STAGE_VARIABLE, acting_at, options_of

Function = Callable[..., None]


class RepositoryType(click.ParamType[Repository]):
    """An `owner/repo`, parsed into a Repository."""

    name = "owner/repo"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Repository:
        """Parse the option's text. A wrong one is a usage error."""
        try:
            return value if isinstance(value, Repository) else Repository.parse(value)
        except RefError as error:
            self.fail(str(error), param, ctx)


REPOSITORY = RepositoryType()


class StageType(click.ParamType[str]):
    """The name of a Chalice stage."""

    name = "stage"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Check the option's text. A name that no stage can have is a usage error."""
        if not STAGE_NAME.fullmatch(value):
            words = f"{value!r} is no stage's name: that is 1 to 30 letters, digits, _ and -"
            self.fail(words, param, ctx)
        return str(value)


class IdType(click.ParamType[str]):
    """An id in hex digits, or its first digits.

    `what` names it in messages; `least` is the smallest number of digits.
    """

    name = "id"

    def __init__(self, what: str, pattern: str, least: int) -> None:
        self.words = f"must be {what}'s id, or its first {least} digits at least"
        self.pattern = re.compile(pattern)

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Check the option's text. A wrong one is a usage error."""
        text = str(value).lower()
        if not self.pattern.fullmatch(text):
            self.fail(self.words, param, ctx)
        return text


class FileType(click.File):
    """A file to read. One that cannot be read is no usage error: the exit code is 1."""

    def convert(
        self,
        value: str | os.PathLike[str] | IO[Any],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> IO[Any]:
        """Open the file."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise click.ClickException(error.message) from None


class SecondsType(click.FloatRange):
    """A number of seconds. "nan" is refused, which click accepts in every range."""

    name = "seconds"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Parse the option's text. A wrong one is a usage error."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds", param, ctx)
        return seconds


SECONDS = SecondsType(min=0, max=3600)


def stage_option(argument: str, words: str) -> Callable[[Function], Function]:
    """Add `--stage`, as this argument and with this help."""
    return click.option(
        "--stage",
        argument,
        type=StageType(),
        is_eager=True,  # so that a wrong stage is reported before a file is opened
        default=DEFAULT_STAGE,
        envvar=STAGE_VARIABLE,
        show_default=True,
        show_envvar=True,
        help=words,
    )


def stage_command(function: Function) -> click.Command:
    """Make a click command of a function whose first argument is the stage."""

    @stage_option("stage_name", "The Chalice stage.")
    @click.option("--profile", help="The profile in AWS's configuration to use.")
    @click.option("--region", help="The region where the stage and its hosts are.")
    @wraps(function)
    def command(stage_name: str, profile: str | None, region: str | None, **options: Any) -> None:  # noqa: ANN401 - each its own
        where = options_of(stage_name, profile=profile, region=region, environ=os.environ)
        with acting_at(where):
            function(Stage(stage_name, profile=profile, region=region), **options)

    return click.command()(command)


def json_option(function: Function) -> Function:
    """Add `--json`, as the argument `as_json`."""
    decorate = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document, for a program."
    )
    return decorate(function)


def no_wait_option(function: Function) -> Function:
    """Add `--no-wait`, as the argument `no_wait`."""
    decorate = click.option("--no-wait", is_flag=True, help="Send, and do not follow.")
    return decorate(function)


def url_option(function: Function) -> Function:
    """Add `--url`, as the argument `url`."""
    words = "The webhook's address, if the app was not deployed from here."
    decorate = click.option("--url", help=words)
    return decorate(function)


def yes_option(function: Function) -> Function:
    """Add `--yes`, as the argument `yes`."""
    decorate = click.option("--yes", is_flag=True, help="Do it without asking.")
    return decorate(function)
