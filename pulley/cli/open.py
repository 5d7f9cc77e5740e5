"""`pulley open`: what runs where, in a browser."""

import click

from chalicelib.core.errors import UnavailableError
from pulley.cli.options import stage_command
from pulley.cli.output import Warnings, confirm, note, say
from pulley.operator.page.link import has_key, hosted_url, link_to, store_new_key
from pulley.operator.page.server import IDLE_SECONDS, PageServer, reading_of
from pulley.operator.stage.stage import Stage, read_targets, utc_now


@stage_command
@click.argument("target", required=False)
@click.option("--hosted", is_flag=True, help="Open the page that the stage serves, by a link.")
@click.option(
    "--new-key",
    is_flag=True,
    help="With --hosted: make the page key, or a new one, which ends every session.",
)
@click.option("--yes", is_flag=True, help="With --new-key: do not ask.")
@click.option("--no-browser", is_flag=True, help="Print the address, and start no browser.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Serve the page at this port, not at any free one.",
)
def open(  # noqa: A001, PLR0913 - the command's name, and its options
    stage: Stage,
    target: str | None,
    *,
    hosted: bool,
    new_key: bool,
    yes: bool,
    no_browser: bool,
    port: int,
) -> None:
    """Show what runs where, in a browser.

    The page is served on this machine alone, and read with your own credentials. It shows every
    target with its hosts, the last deploy, and what the next round will do; a target's own view has
    each host and the deploys of 30 days. While a deploy runs, the page follows it.

    The server ends with Ctrl-C, or after an hour in which nobody looks.

    With --hosted, the page comes from the stage's own address, for those who may read the stage's
    page key in Parameter Store. The command makes a link that is valid once, for two minutes;
    whoever opens it may look for 12 hours. Until --new-key has made a key, a stage has no hosted
    page. A new key ends every session within a minute.
    """
    if hosted or new_key:
        _open_hosted(stage, target, new_key=new_key, yes=yes, no_browser=no_browser)
        return
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


def _open_hosted(
    stage: Stage, target: str | None, *, new_key: bool, yes: bool, no_browser: bool
) -> None:
    if new_key:
        url = hosted_url(stage)
        ends = " A key is there: a new one ends every session." if has_key(stage) else ""
        question = f"Whoever may read {stage.names.page_key} can then see {url}.{ends} Go on?"
        confirm(question, yes=yes)
        store_new_key(stage)
    name = read_targets(stage).named(target).name if target else ""
    link = link_to(stage, now=utc_now(), target=name)
    say(link)
    note("The link is valid once, for two minutes. Who opens it may look for 12 hours.")
    if not no_browser:
        click.launch(link)
