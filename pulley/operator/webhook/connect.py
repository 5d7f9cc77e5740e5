"""Connect a repository: find the secret that opens it, and plan and change its webhook."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import read_secrets
from chalicelib.core.targets import TargetsError, parse_stored_targets
from chalicelib.edges.github_api import GitHubApi
from pulley.operator.aws.parameters import StoredValue
from pulley.operator.stage.stage import Stage
from pulley.operator.stage.webhook_events import events_of
from pulley.operator.suggest import suggest
from pulley.operator.webhook.hooks import PUSH_ALONE, RepositoryHook, Webhooks
from pulley.operator.webhook.rotate import repositories_of

BY_HAND = (
    "Gitea and Forgejo show neither a webhook's secret nor the answer to a ping, so Pulley leaves "
    "webhooks there to you"
)
MADE, UPDATED, LEFT = "made", "updated", "left as it is"


@dataclass(frozen=True)
class Secret:
    """The newest secret that opens a repository, and the parameter that has it."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class Connection:
    """The plan for a repository's webhook. `hook` is the one that exists."""

    url: str
    hook: RepositoryHook | None
    differences: Sequence[str]
    elsewhere: Sequence[str]

    @property
    def action(self) -> str:
        """What the plan does to the webhook."""
        if self.hook is None:
            return MADE
        return UPDATED if self.differences else LEFT


def webhooks_of(stage: Stage, repository: Repository) -> Webhooks | None:
    """The repository's webhooks on GitHub; None without a token.

    Raises RefusedError and UnavailableError; NotTakenError for a Gitea or Forgejo server.
    """
    if not stage.has_deployments:
        raise NotTakenError(BY_HAND)
    token = stage.token_for(repository)
    if not token:
        return None
    api, events = GitHubApi(stage.settings.github_api), events_for(stage, repository)
    return Webhooks(api, repository, token, events, clock=time.monotonic, sleep=time.sleep)


def events_for(stage: Stage, repository: Repository) -> Sequence[str]:
    """The events that the webhook needs for the stored targets.

    Raises RefusedError and UnavailableError.
    """
    stored = stage.stored.report_settings(repository).targets
    try:
        targets = parse_stored_targets(stored or "[]", repository)
    except TargetsError:
        return PUSH_ALONE
    return events_of(targets)


def read_secret(stage: Stage, repository: Repository) -> Secret:
    """The secret for a repository's webhook. Raises UnavailableError if none is stored."""
    found = _stored_secret(stage, repository)
    lines = read_secrets(found.value) if found else ()
    if found is None or not lines:
        name = found.name if found else stage.names.webhook_secret
        raise UnavailableError(f"no secret is stored in {name}: run {suggest('setup')} first")
    return Secret(found.name, lines[0].decode())


def secret_since(stage: Stage, repository: Repository) -> datetime | None:
    """When the newest secret that opens a repository was stored; None if there is none.

    Raises RefusedError and UnavailableError.
    """
    found = _stored_secret(stage, repository)
    return newest_since(stage.parameters.versions(found.name)) if found else None


def _stored_secret(stage: Stage, repository: Repository) -> StoredValue | None:
    own, default = stage.names.repository_webhook_secret(repository), stage.names.webhook_secret
    stored = stage.parameters.read(own, default)
    return stored.get(own) or stored.get(default)


def connect_again(stage: Stage) -> list[str]:
    """The commands that set the stage's new secret in webhooks, one for each repository.

    Raises RefusedError and UnavailableError.
    """
    repositories = list(stage.stored.every_repository())
    opened = repositories_of(stage.parameters, stage.names.repository_webhook_secret, repositories)
    return [str(suggest("connect", one, "--force")) for one in opened]


def newest_since(versions: Sequence[StoredValue]) -> datetime | None:
    """When the newest version's first line was stored. Dropping other lines does not count."""
    since, newest = None, read_secrets(versions[0].value)[:1] if versions else ()
    for version in versions:
        if not newest or read_secrets(version.value)[:1] != newest:
            break
        since = version.at
    return since


def plan_connection(
    hooks: Sequence[RepositoryHook],
    url: str,
    events: Sequence[str] = PUSH_ALONE,
    *,
    force: bool,
) -> Connection:
    """Plan what to do, given the existing webhooks. `force` sets the secret anyway."""
    same = [hook for hook in hooks if hook.posts_to(url)]
    elsewhere = [hook.url for hook in hooks if not hook.posts_to(url) and hook.is_like(url)]
    hook = min(same, key=lambda one: (not one.active, one.id), default=None)
    differences = hook.differences(events) if hook else []
    if hook and force and not differences:
        differences = ["secret: set again"]
    return Connection(url, hook, differences, elsewhere)


def is_connected(stage: Stage, repository: Repository) -> bool:
    """Whether GitHub shows the stage's webhook as it should be. False if that is not known.

    Whether its secret is right is not known: only the answer to a ping shows that.
    """
    try:
        webhooks = webhooks_of(stage, repository)
        if webhooks is None or not stage.webhook_url:
            return False
        hooks, events = webhooks.all(), webhooks.events
        return plan_connection(hooks, stage.webhook_url, events, force=False).action == LEFT
    except PulleyError:
        return False


def connect(webhooks: Webhooks, connection: Connection, secret: Secret) -> RepositoryHook:
    """Carry out the plan, and return the webhook. Raises NotTakenError and UnavailableError."""
    if connection.hook is None:
        webhooks.create(connection.url, secret.value)
    elif connection.differences:
        webhooks.update(connection.hook, connection.url, secret.value)
    found = webhooks.posting_to(connection.url)
    before = connection.hook
    hook = next((one for one in found if before is None or one.id == before.id), None)
    if hook is None:
        raise UnavailableError("GitHub does not show the webhook that it made: try again")
    return hook


def settings_page(stage: Stage, repository: Repository) -> str:
    """The page where people set up the repository's webhooks."""
    return f"{_site(stage)}/{repository}/settings/hooks"


def github_host(stage: Stage) -> str:
    """The host name that people clone from."""
    return _site(stage).partition("://")[2].partition("/")[0]


def _site(stage: Stage) -> str:
    api = stage.settings.github_api.rstrip("/")
    if api == "https://api.github.com":
        return "https://github.com"
    return api.removesuffix("/api/v3").removesuffix("/api/v1")
