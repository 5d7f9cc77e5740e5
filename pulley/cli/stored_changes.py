"""Warn if a write overwrote somebody else's value, or will replace a newer release's document.

Parameter Store has no compare-and-set. Only after a write does a command learn that somebody else
wrote between its read and its write. Nothing is lost, because both versions are kept.
"""

import shlex
import sys
from collections.abc import Mapping

import click

from pulley.cli.output import note, note_whole, warn, when
from pulley.host.document import RELEASE
from pulley.operator.aws.parameters import ADVANCED, STANDARD, Parameters, StoredValue, Written
from pulley.operator.doctor.release import UPDATE, is_newer, release_of


def say_overwritten(
    parameters: Parameters,
    written: Written,
    *,
    yes: bool = False,
    is_secret: bool = False,
    tier: str = STANDARD,
) -> bool:
    """Say what a write overwrote, and on a terminal offer to put it back. Call it after each write.

    `is_secret` and `tier` are those of the write. A secret is not shown. With `yes`, or without a
    terminal, nobody is asked: the command that puts it back is printed. Returns whether it was put
    back; then the caller's own value is no longer the stored one. Raises RefusedError and
    UnavailableError.
    """
    other = written.overwritten
    if other is None:
        return False
    by = f" by {other.by}" if other.by else ""
    warn(
        f"{written.name}: version {other.version}{by} at {when(other.at)} was overwritten. "
        "It was stored after you looked."
    )
    if not is_secret:
        note(f"It was: {_on_a_terminal(other.value)}")
    if yes or not sys.stdin.isatty():
        note("If that value is right, store it again, as a new version:")
        key = parameters.key(written.name) if is_secret else ""
        line = put_back_command(
            other, is_secret=is_secret, tier=tier, key=key, options=_aws_options()
        )
        note_whole(f"  {line}")
        return False
    if not click.confirm(f"Store version {other.version} again, as a new version?", err=True):
        return False
    again = parameters.write(
        written.name,
        other.value,
        read=StoredValue(written.name, "", written.version),
        is_secret=is_secret,
        tier="Advanced" if tier == ADVANCED else "Standard",
    )
    note(f"{written.name}: version {other.version} was put back, as version {again.version}.")
    say_overwritten(parameters, again, is_secret=is_secret, tier=tier)
    return True


def put_back_command(
    other: StoredValue, *, is_secret: bool, tier: str, key: str = "", options: str = ""
) -> str:
    """The shell command that stores a version again. It does not contain the value itself.

    `key` is the KMS key of a secret: without it AWS takes the account's default key. `options` are
    added to each call of `aws`, and begin with a space.
    """
    name = shlex.quote(other.name)
    kind = "SecureString" if is_secret else "String"
    advanced = f" --tier {ADVANCED}" if tier == ADVANCED else ""
    under = f" --key-id {shlex.quote(key)}" if key else ""
    value = (
        f"aws ssm get-parameter{options} --name {shlex.quote(f'{other.name}:{other.version}')} "
        "--with-decryption --query Parameter.Value --output text"
    )
    return (
        f"aws ssm put-parameter{options} --name {name} --type {kind}{under}{advanced} --overwrite "
        f'--value "$({value})"'
    )


def _aws_options() -> str:
    """The profile and the region of the running command, as options of `aws`."""
    context = click.get_current_context(silent=True)
    given = {name: context and context.params.get(name) for name in ("profile", "region")}
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in given.items() if value)


def _on_a_terminal(text: str) -> str:
    """Replace what cannot be printed, such as terminal codes, by question marks."""
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


def warn_of_newer(name: str, stored: Mapping[str, object]) -> None:
    """Warn if this command is about to replace a document of a newer release."""
    if is_newer(stored):
        warn(
            f"{name} is of release {release_of(stored)}, and this command of {RELEASE}: this goes "
            f"back to the older one. If that is not what you want, {UPDATE}"
        )
