"""A token is tried before it takes the place of one that is stored: a typo must not stop reports.

One request tells, of a repository that the token is for. Where there is none yet, it is the one
that each token may make, fine-grained ones too: GitHub's page "REST API endpoints for rate limits".
"""

from collections.abc import Sequence

from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.refs import Repository
from pulley.operator.setup.plan import TOKEN, Change
from pulley.operator.setup.token import ask
from pulley.operator.stage.stage import Stage

_TAKEN = frozenset({200, 301, 302, 307, 308})  # a renamed repository leads elsewhere


class UntriedTokenError(PulleyError):
    """A new token that GitHub does not take, or of which it could not tell. Nothing was stored."""


def try_token(
    stage: Stage, changes: Sequence[Change], token: str, repository: Repository | None
) -> None:
    """See that GitHub takes it for the repository, or for one that uses the stage's token.

    Where it takes no other's place there is nothing to lose. A repository's first one takes the
    place of the stage's. Raises UntriedTokenError; RefusedError and UnavailableError where AWS does
    not answer.
    """
    stored = [one for one in changes if one.what == TOKEN]
    is_first = all(one.action == "create" for one in stored)
    if not stored or (is_first and not (repository and stage.stored_default_token())):
        return
    repositories = [repository] if repository else _users_of_the_stage_s(stage)
    try:
        problem = problem_of(stage.settings.github_api, token, repositories)
    except UnavailableError as error:
        problem = f"it could not be tried: {error.in_full}"
    if problem:
        raise UntriedTokenError(
            f"the new token is not stored over the one that is there: {problem}. --force stores it"
        )


def problem_of(api_url: str, token: str, repositories: Sequence[Repository]) -> str:
    """Why GitHub takes the token for none of them; "" for one that it takes.

    Raises UnavailableError where GitHub cannot be asked, or is not well.
    """
    problem = ""
    for path in [f"/repos/{one}" for one in repositories] or ["/rate_limit"]:
        answer = ask(api_url, token, "GET", path)
        # An Enterprise server without rate limits says 404 to whom it knows.
        if answer.status in _TAKEN or (answer.status == 404 and not repositories):
            return ""
        if answer.status == 401:
            return f"GitHub does not know it, or it has expired: {answer.reason(token)}"
        if not answer.is_refusal:
            answer.expect(200)
        what = path.removeprefix("/repos/")
        problem = problem or f"GitHub does not take it for {what}: {answer.reason(token)}"
    return problem


def _users_of_the_stage_s(stage: Stage) -> list[Repository]:
    """The repositories with targets and without a token of their own."""
    found = list(stage.stored.every_repository())
    own = stage.parameters.read(*(stage.names.repository_github_token(one) for one in found))
    return [one for one in found if stage.names.repository_github_token(one) not in own]
