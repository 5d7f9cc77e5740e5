"""`pulley connect`: create or fix a repository's webhook on GitHub."""

from collections.abc import Sequence

import click

from chalicelib.core.errors import NotTakenError
from chalicelib.core.refs import RefError, Repository
from chalicelib.core.tags import RELEASE
from chalicelib.status.safe_text import one_line
from pulley.cli.group import FAILED, NOT_WELL
from pulley.cli.options import SECONDS, json_option, stage_command, url_option, yes_option
from pulley.cli.output import confirm, note, say, say_json, warn
from pulley.cli.table import say_values
from pulley.cli.wording import secret_command
from pulley.operator.stage.checkout import find_here
from pulley.operator.stage.stage import Stage, read_targets
from pulley.operator.suggest import suggest
from pulley.operator.webhook.connect import (
    BY_HAND,
    LEFT,
    MADE,
    UPDATED,
    Connection,
    Secret,
    events_for,
    plan_connection,
    read_secret,
    settings_page,
    webhooks_of,
)
from pulley.operator.webhook.connect import (
    connect as make,
)
from pulley.operator.webhook.hooks import ANSWER_SECONDS, PUSH_ALONE, is_webhook_url
from pulley.operator.webhook.pings import Ping, mend_of

_EVENT_NAMES = {
    "push": "Pushes",
    "check_run": "Check runs",
    "check_suite": "Check suites",
    "status": "Statuses",
    "deployment": "Deployments",
    "deployment_status": "Deployment statuses",
    "release": "Releases",
}


@stage_command
@click.argument("repository", required=False, metavar="[OWNER/REPO]")
@url_option
@click.option("--force", is_flag=True, help="Set the secret again, even if nothing differs.")
@click.option("--print-only", is_flag=True, help="Only print the settings, to paste on GitHub.")
@click.option(
    "--wait",
    default=ANSWER_SECONDS,
    show_default=True,
    type=SECONDS,
    metavar="SECONDS",
    help="How long to wait for the ping's answer.",
)
@yes_option
@json_option
def connect(  # noqa: PLR0913 - each is an option
    stage: Stage,
    repository: str | None,
    url: str | None,
    wait: float,
    *,
    force: bool,
    print_only: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Create or fix a repository's webhook on GitHub, and ping it.

    Without OWNER/REPO, the command uses the repository of the current folder. It needs a token with
    the permission Webhooks: write, in GITHUB_TOKEN or GH_TOKEN; without these it uses the stored
    token. Without any token it prints the settings, for you to paste on GitHub. If the webhook's
    settings are right, the command only pings it: GitHub never shows a webhook's secret, and the
    answer to the ping shows whether the secret is right. For a Gitea or Forgejo server it always
    prints the settings.
    """
    found = _repository(repository)
    address = _url(stage, url)
    secret = read_secret(stage, found)
    has_targets = found in read_targets(stage).settings
    if not has_targets:
        apply = suggest("targets apply")
        warn(f"no target of {found} is stored yet, so its pushes deploy nothing: {apply}")
    if not stage.has_deployments:
        note(f"{BY_HAND}. Set it up by hand:")
        print_only = True
    webhooks = None if print_only else webhooks_of(stage, found)
    if webhooks is None:
        if not print_only:
            note(
                "There is no token for GitHub in GITHUB_TOKEN, GH_TOKEN or Parameter Store. "
                "Set the webhook up by hand:"
            )
        _say_settings(stage, found, address, secret, as_json=as_json)
        return
    try:
        plan = plan_connection(webhooks.all(), address, webhooks.events, force=force)
        _say_plan(found, plan, webhooks.events)
        if plan.action == UPDATED and plan.hook and plan.hook.active:
            _refuse_another(webhooks.ping(plan.hook, wait), plan, secret)
        if plan.action != LEFT:
            confirm(f"Do this to {found}, at {plan.url}, for the stage {stage.name}?", yes=yes)
        hook = make(webhooks, plan, secret)
        ping = webhooks.ping(hook, wait)
        _refuse_another(ping, plan, secret)
    except NotTakenError as error:
        note(f"Error: {error.in_full}", style="red")
        note(f"The token was the one in {stage.token_name(found)}.")
        _say_settings(stage, found, address, secret, as_json=as_json)
        raise click.exceptions.Exit(FAILED) from None
    if as_json:
        say_json(
            {
                "stage": stage.name,
                "repository": str(found),
                "url": address,
                "secret_parameter": secret.name,
                "hook": hook.id,
                "action": plan.action,
                "differences": plan.differences,
                "ping": ping,
            }
        )
    else:
        say(f"The webhook {hook.id} was {plan.action}.")
    _say_ping(stage, found, ping, as_json=as_json)
    if has_targets and plan.action == MADE and not as_json:
        say(f"Push to {found}, and see: {suggest('status')}")


def _repository(text: str | None) -> Repository:
    if text is None:
        here = find_here()
        if here is None:
            raise click.UsageError("name OWNER/REPO: the current folder is not a clone of one")
        return here.repository
    try:
        return Repository.parse(text)
    except RefError as error:
        raise click.BadParameter(str(error), param_hint="OWNER/REPO") from None


def _url(stage: Stage, url: str | None) -> str:
    address = url or stage.webhook_url
    if not address:
        raise click.UsageError(
            f"the webhook's address is not known here: chalice deploy --stage {stage.name}, or "
            "give the address that it printed, and github after it, with --url"
        )
    if not is_webhook_url(address):
        raise click.BadParameter(
            "must be https and end in /github, like "
            "https://abc.execute-api.eu-west-1.amazonaws.com/api/github",
            param_hint="--url",
        )
    return address


def _say_plan(repository: Repository, plan: Connection, events: Sequence[str]) -> None:
    for other in plan.elsewhere:
        note(
            f"another webhook of {repository} posts to {one_line(other)}, and stays as it is: for "
            "another stage, or left from before"
        )
    if plan.action == LEFT:
        note(f"{repository}: its webhook is as it should be.")
        return
    word = "made" if plan.action == MADE else "updated"
    note(f"{repository}: its webhook is to be {word}: {plan.url}")
    if plan.action == MADE:
        note(f"  JSON, the events {', '.join(events)}, the stored secret")
        return
    for one in plan.differences:
        note(f"  {one_line(one)}")
    if not any(one.startswith("secret") for one in plan.differences):
        note("  secret: set again, because a change without it would remove it")


def _refuse_another(ping: Ping, plan: Connection, secret: Secret) -> None:
    """Refuse a webhook that another parameter's secret opens: another stage uses it."""
    if ping.opened_by in {"", secret.name}:
        return
    raise click.ClickException(
        f"{plan.url} is opened by {ping.opened_by}, and not by {secret.name}: is it the address of "
        "another stage? Give this stage's with --url"
    )


def _say_ping(stage: Stage, repository: Repository, ping: Ping, *, as_json: bool) -> None:
    if ping.is_green:
        if not as_json:
            say(f"GitHub's ping was answered {ping.code}: {one_line(ping.said)}", style="green")
        return
    answered = f"was answered {ping.code}" if ping.code else "was not answered"
    words = one_line(f"{ping.status}: {ping.said}" if ping.said else ping.status)
    note(f"GitHub's ping {answered}: {words}", style="red")
    note(f"What to do: {mend_of(ping, stage.name, repository)}")
    raise click.exceptions.Exit(NOT_WELL)


def _events_to_select(events: Sequence[str]) -> str:
    """What to select on GitHub's page, which has its own names for the events."""
    if tuple(events) == PUSH_ALONE:
        return "Just the push event"
    return f"Let me select individual events: {', '.join(_EVENT_NAMES[one] for one in events)}"


def _events_to_select_there(events: Sequence[str]) -> str:
    """What to select on the page of Gitea and Forgejo."""
    names = ["Push", *(["Release"] if RELEASE in events else [])]
    return ", ".join(names)


def _say_settings(
    stage: Stage, repository: Repository, url: str, secret: Secret, *, as_json: bool
) -> None:
    shown_secret = f"what this prints: {secret_command(secret.name)}"
    if stage.has_deployments:
        settings = {
            "Payload URL": url,
            "Content type": "application/json",
            "Secret": shown_secret,
            "SSL verification": "Enable SSL verification",
            "Which events": _events_to_select(events_for(stage, repository)),
            "Active": "yes",
        }
    else:  # the words of their page, for a webhook of the type Gitea or Forgejo
        settings = {
            "Target URL": url,
            "HTTP method": "POST",
            "POST content type": "application/json",
            "Secret": shown_secret,
            "Trigger on": _events_to_select_there(events_for(stage, repository)),
            "Active": "yes",
        }
    page = settings_page(stage, repository)
    if as_json:
        document = {"stage": stage.name, "repository": str(repository)}
        say_json({**document, "page": page, "settings": settings})
        return
    say(f"Paste these settings at {page}, Add webhook:")
    say_values({f"  {name}": value for name, value in settings.items()})
