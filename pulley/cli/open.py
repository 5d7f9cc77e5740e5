"""`pulley open`: what runs where, in a browser."""

import click

from chalicelib.core.errors import UnavailableError
from pulley.cli.options import stage_command
from pulley.cli.output import Warnings, note, say
from pulley.operator.page.server import IDLE_SECONDS, PageServer, reading_of
from pulley.operator.stage.stage import Stage, read_targets


@stage_command
@click.argument("target", required=False)
@click.option("--no-browser", is_flag=True, help="Print the address, and start no browser.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Serve the page at this port, not at any free one.",
)
def open(stage: Stage, target: str | None, *, no_browser: bool, port: int) -> None:  # noqa: A001 - the command's name
    """Show what runs where, in a browser.

    The page is served on this machine alone, and read with your own credentials. It shows every
    target with its hosts, the last deploy, and what the next round will do; a target's own view has
    each host and the deploys of 30 days. While a deploy runs, the page follows it.

    The server ends with Ctrl-C, or after an hour in which nobody looks.
    """
    stored = read_targets(stage)
    part = f"#{stored.named(target).name}" if target else ""
    try:
        server = PageServer(reading_of(stage, Warnings()), port=port)
    except OSError as error:
        raise UnavailableError(f"port {port} cannot be used: {error.strerror}") from None
    say(f"{server.url}{part}")
    note(f"Ctrl-C ends it; so do {IDLE_SECONDS / 60:.0f} minutes in which nobody looks.")
    if not no_browser:
        click.launch(f"{server.url}{part}")
    try:
        server.serve()
    except KeyboardInterrupt:
        server.close()
