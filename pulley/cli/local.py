"""`pulley demo` and `pulley sandbox`, which need no AWS account."""

import os
import re
import signal
import tempfile

import click
from rich.console import Console

from chalicelib.core.targets import CHECKOUT_PATTERN
from pulley.cli.group import FAILED
from pulley.demo import HOSTS, run_demo
from pulley.project import project
from pulley.sandbox.app.chalice_local import CHALICE
from pulley.sandbox.hosts.users import missing_programs
from pulley.sandbox.interactive import run_sandbox
from pulley.sandbox.private.peers import can_tell_users


@click.command()
@click.option(
    "--break",
    "broken_host",
    type=click.Choice(HOSTS),
    help="Give this host a commit that conflicts with the push.",
)
def demo(broken_host: str | None) -> None:
    """Show a good push and a bad one on this machine.

    The demo goes from `git push` to four hosts, and back to the commit's status on GitHub.

    Exits with 1 unless every host ends at the good commit, and GitHub shows both correctly.
    """
    _check_machine()
    _unset_inherited_variables()
    for number in (signal.SIGTERM, signal.SIGHUP):  # clean up as after Ctrl-C
        signal.signal(number, signal.default_int_handler)
    if not run_demo(Console(), broken_host):
        raise click.exceptions.Exit(FAILED)


@click.command()
@click.option("--hosts", default=3, type=click.IntRange(1, 50), help="How many hosts.")
@click.option(
    "--empty", is_flag=True, help="Set nothing up, so that you can follow docs/getting-started.md."
)
def sandbox(hosts: int, *, empty: bool) -> None:
    """Run an emulated AWS account, GitHub and hosts on this machine.

    It prints a line for a second terminal. When you have run that line there, the commands of
    pulley, git push and the AWS command line use the sandbox. Ctrl-C stops everything and cleans
    up.
    """
    _check_machine()
    _unset_inherited_variables()
    run_sandbox(Console(), hosts, empty=empty)


def _check_machine() -> None:
    """Check this machine before anything is printed.

    Raises ClickException, or UnavailableError without a clone of Pulley.
    """
    project()
    if not CHALICE.exists():
        raise click.ClickException(
            f'there is no {CHALICE}: install the extra "sandbox" into the environment of this '
            "command, as docs/cli.md says"
        )
    missing = missing_programs()
    if missing:
        raise click.ClickException(f"the hosts need {', '.join(missing)}, which are not on PATH")
    if not can_tell_users():
        raise click.ClickException(
            "this machine's kernel does not say which user a connection comes from (sock_diag), so "
            "the sandbox could not refuse other users: run it on Linux itself or in Docker, with "
            "the kernel's module tcp_diag"
        )
    folder = tempfile.gettempdir()
    if not re.fullmatch(CHECKOUT_PATTERN, folder):  # checkouts are below it
        raise click.ClickException(
            f"the hosts' disks cannot be in {folder!r}: set TMPDIR to letters, digits and _./@+=,-"
        )


def _unset_inherited_variables() -> None:
    """Unset the shell's profile, proxy and repository: everything runs on this machine."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GIT_", "PULLEY_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
