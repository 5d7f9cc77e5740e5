"""Try a token before it replaces a stored one: a typo must not stop the reports.

The request is for a repository that the token is for. If there is none yet, it is for the rate
limit, which every token may read, fine-grained ones too: GitHub's page "REST API endpoints for rate
limits".
"""

from collections.abc import Sequence

from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.refs import Repository
from pulley.operator.setup.plan import TOKEN, Change
from pulley.operator.setup.token import ask
from pulley.operator.stage.stage import Stage

_TAKEN = frozenset({200, 301, 302, 307, 308})  # a renamed repository is redirected


class UntriedTokenError(PulleyError):
    """GitHub does not accept the new token, or did not tell. Nothing was stored."""


def try_token(
    stage: Stage, changes: Sequence[Change], token: str, repository: Repository | None
) -> None:
    """Check that GitHub accepts the token for the repository that it is for.

    A stage's token has to be accepted for one of the repositories that use it. A token that
    replaces none is not tried. A repository's first token replaces the stage's. Raises
    UntriedTokenError; RefusedError and UnavailableError if AWS does not answer.
    """
    stored = [change for change in changes if change.what == TOKEN]
    is_first = all(one.action == "create" for one in stored)
    if not stored or (is_first and not (repository and stage.stored_default_token())):
        return
    repositories = [repository] if repository else _users_of_stage_token(stage)
    try:
        problem = problem_of(stage.settings.github_api, token, repositories)
    except UnavailableError as error:
        problem = f"it could not be tried: {error.in_full}"
    if problem:
        raise UntriedTokenError(
            f"the new token is not stored over the one that is there: {problem}. --force stores it"
        )


def problem_of(api_url: str, token: str, repositories: Sequence[Repository]) -> str:
    """Why GitHub accepts the token for none of the repositories; "" if it accepts it for one.

    Raises UnavailableError if GitHub cannot be asked, or answers with an error of its own.
    """
    problem = ""
    for path in [f"/repos/{repository}" for repository in repositories] or ["/rate_limit"]:
        answer = ask(api_url, token, "GET", path)
        # An Enterprise server without rate limits answers 404 to a valid token.
        if answer.status in _TAKEN or (answer.status == 404 and not repositories):
            return ""
        if answer.status == 401:
            return f"GitHub does not know it, or it has expired: {answer.reason(token)}"
        if not answer.is_refusal:
            answer.expect(200)
        what = path.removeprefix("/repos/")
        problem = problem or f"GitHub does not take it for {what}: {answer.reason(token)}"
    return problem


def _users_of_stage_token(stage: Stage) -> list[Repository]:
    """The repositories with targets and without a token of their own."""
    found = list(stage.stored.every_repository())
    own = stage.parameters.read(*(stage.names.repository_github_token(one) for one in found))
    return [one for one in found if stage.names.repository_github_token(one) not in own]
