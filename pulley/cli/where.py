"""Where a command acts, in the lines that it names: each must act there, typed as it is said."""

import re
import shlex
from collections.abc import Mapping

import click

DEFAULT_STAGE = "dev"
STAGE_VARIABLE = "PULLEY_STAGE"
_KEY = "pulley.where"
# Every command that takes a stage.
NAMES = (
    *("setup", "targets apply", "targets show", "connect", "doctor", "plan", "deploy", "cancel"),
    *("status", "history", "logs", "pin", "freeze", "unpin", "rollback", "secret rotate"),
    "simulate",
)
_LINE = re.compile(rf"\bpulley (?:{'|'.join(NAMES)})\b(?! --(?:stage|profile|region)\b)")


def options_of(
    stage: str, *, profile: str | None, region: str | None, environ: Mapping[str, str]
) -> str:
    """What has to be given again, as a shell takes it: with a space before it, or ""."""
    given = {
        "--stage": stage if stage != (environ.get(STAGE_VARIABLE) or DEFAULT_STAGE) else None,
        "--profile": profile,
        "--region": region,
    }
    return "".join(f" {name} {shlex.quote(value)}" for name, value in given.items() if value)


def with_options(words: str, options: str) -> str:
    """The words, where each line of pulley on a stage has these options."""
    return _LINE.sub(lambda found: found[0] + options, words)


def remember(options: str) -> None:
    """Have `at_stage` use them until the command that is running ends."""
    click.get_current_context().meta[_KEY] = options


def at_stage(words: str) -> str:
    """The words, whose lines of pulley act where the running command does.

    For the command's own words: what a person wrote stays as it is.
    """
    context = click.get_current_context(silent=True)
    options: str = context.meta.get(_KEY, "") if context else ""
    return with_options(words, options)
