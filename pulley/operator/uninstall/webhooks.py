"""Find a stage's webhooks on GitHub, and delete them.

A webhook is the stage's if it posts to the stage's URL: the one that is known here, or that of an
API which calls the stage's function. Without either nobody can tell the webhooks of two stages
apart, so they are left to people.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from chalicelib.core.errors import NotTakenError, RefusedError
from chalicelib.core.refs import RefError, Repository
from pulley.operator.stage.stage import Stage
from pulley.operator.uninstall.found import Found, Left, Removal
from pulley.operator.webhook.connect import settings_page, webhooks_of
from pulley.operator.webhook.hooks import RepositoryHook, Webhooks

WEBHOOK = "webhook"
_ROUTE = "https://any/github"


def repositories_in(names: Sequence[str], prefix: str) -> list[Repository]:
    """The repositories that have parameters. `prefix` is that of all repositories' parameters."""
    found = set()
    for name in names:
        parts = name.removeprefix(prefix).split("/")
        if name.startswith(prefix) and len(parts) > 2:
            try:
                found.add(Repository.parse("/".join(parts[:-1])))
            except RefError:
                continue  # no release of Pulley stored it
    return sorted(found, key=str)


def find_webhooks(
    stage: Stage, repositories: Sequence[Repository], *, url: str, api_ids: Collection[str]
) -> Found:
    """The webhooks of the repositories that post to the URL, or to one of the APIs.

    Raises RefusedError and UnavailableError.
    """
    removals: list[Removal] = []
    left: list[Left] = []
    for repository in repositories:
        for one in _of_repository(stage, repository, url=url, api_ids=api_ids):
            (removals if isinstance(one, Removal) else left).append(one)  # type: ignore[arg-type]
    return Found(tuple(removals), tuple(left))


def _of_repository(
    stage: Stage, repository: Repository, *, url: str, api_ids: Collection[str]
) -> Iterator[Removal | Left]:
    page = settings_page(stage, repository)
    if not stage.has_deployments:
        page = page.removesuffix("/hooks")
        yield _left(repository, url, "Gitea and Forgejo: Pulley leaves webhooks there to you", page)
        return
    webhooks = webhooks_of(stage, repository)
    if webhooks is None:
        why = "there is no token for it in GITHUB_TOKEN, GH_TOKEN or Parameter Store"
        if stage.stored.lacks_tokens:
            why = "you may not read its stored token, and GITHUB_TOKEN is not set"
        yield _left(repository, url, why, page)
        return
    try:
        hooks = webhooks.all()
    except NotTakenError as error:
        yield _left(repository, url, error.in_full, page)
        return
    for hook in hooks:
        if (url and hook.posts_to(url)) or _is_of(hook.url, api_ids):
            yield Removal(
                WEBHOOK,
                f"{repository}: {hook.url}",
                "on GitHub: pushes are not delivered any more",
                stops_deploys=True,
                remove=partial(_delete, webhooks, hook, page),
            )
        elif not url and not api_ids and hook.is_like(_ROUTE):
            why = f"it posts to {hook.url}, and the stage's URL is not known: it may be another's"
            yield Left(WEBHOOK, str(repository), why, f"give the stage's URL with --url, or {page}")


def _left(repository: Repository, url: str, why: str, page: str) -> Left:
    posts = f"posts to {url}" if url else "posts to the stage's URL, which ends in /github"
    return Left(WEBHOOK, str(repository), why, f"delete the one that {posts}, at {page}")


def _is_of(url: str, api_ids: Collection[str]) -> bool:
    """Whether the URL is one of these APIs of API Gateway, with our route."""
    id_ = api_of(url)
    return id_ in api_ids and id_ != "" and urlsplit(url).path.rstrip("/").endswith("/github")


def api_of(url: str) -> str:
    """The id of the API of API Gateway that a URL calls; "" if its host has another name."""
    try:
        host = (urlsplit(url).hostname or "").split(".")
    except ValueError:
        return ""
    return host[0] if len(host) > 2 and host[1] == "execute-api" else ""


def _delete(webhooks: Webhooks, hook: RepositoryHook, page: str) -> None:
    try:
        webhooks.delete(hook)
    except NotTakenError as error:
        if _is_gone(webhooks, hook):
            return
        raise RefusedError(
            f"the webhook {hook.id} of {webhooks.repository} was not deleted",
            detail=f"{error.in_full}. Give a token with the permission Webhooks: write in "
            f"GITHUB_TOKEN, or delete the webhook at {page}; then run this again",
        ) from None


def _is_gone(webhooks: Webhooks, hook: RepositoryHook) -> bool:
    try:
        return all(one.id != hook.id for one in webhooks.all())
    except NotTakenError:  # a token that was refused once is not tried again
        return False
