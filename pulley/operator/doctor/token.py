"""Check the token of the reports: whether GitHub accepts it, until when, and for what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote

from chalicelib.core.gates import EVERY_CHECK
from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target
from chalicelib.edges.github import has_deployments
from pulley.operator.doctor.row import FAIL, WARN, Row, passed
from pulley.operator.setup.token import TokenAnswer, ask
from pulley.operator.suggest import suggest

SOON = timedelta(days=14)
_EXPIRES = "github-authentication-token-expiration"
_NOWHERE = "0" * 40  # no repository has this commit, so GitHub creates nothing


@dataclass(frozen=True)
class TokenCheck:
    """Checks a repository's token: its own, or the stage's.

    Raises UnavailableError if GitHub cannot be asked, or answers with an error of its own.
    """

    api_url: str
    repository: Repository
    token: str = field(repr=False)
    targets: Sequence[Target]
    is_own: bool = False

    @property
    def what(self) -> str:
        """The first column of its rows."""
        return f"GitHub token, {self.repository}"

    def check(self, *, now: datetime) -> Iterator[Row]:
        """Ask GitHub about the token. Nothing is created there."""
        what = self.what
        answer = self._ask("GET", "")
        if answer.status == 401:
            hint = self._hint
            words = f"GitHub does not know it, or it has expired: {answer.reason(self.token)}"
            yield Row(what, FAIL, words, hint)
            return
        if answer.is_refusal:
            words = f"it does not cover {self.repository}, or there is no such repository"
            hint = "give it this repository, on GitHub"
            yield Row(what, FAIL, f"{words}: {answer.reason(self.token)}", hint)
            return
        if answer.status in {301, 302, 307, 308}:
            words = f"{self.repository} has another name on GitHub now"
            yield Row(what, WARN, words, "put the new name into pulley.toml, and apply it")
            return
        answer.expect(200)
        missing = list(self._missing())
        for permission, loses, said in missing:
            hint = f"give it {permission}, on GitHub"
            outcome = WARN if permission.startswith("Webhooks") else FAIL
            yield Row(what, outcome, f"it lacks {permission}: {loses}; {said}", hint)
        expires = _expiry(answer.headers)
        if expires and expires - now < SOON:
            yield Row(what, WARN, f"it expires on {expires:%Y-%m-%d}", self._hint)
        elif not missing:
            until = f", until {expires:%Y-%m-%d}" if expires else ""
            yield passed(what, f"it may do what reports and rounds need{until}")

    @property
    def _hint(self) -> str:
        own = ["--repository", self.repository] if self.is_own else []
        return f"make one on GitHub, then {suggest('setup', '--github-token-file', '-', *own)}"

    def _missing(self) -> Iterator[tuple[str, str, str]]:
        """The permissions that the token lacks, what that disables, and GitHub's own reason."""
        if not has_deployments(self.api_url):
            yield from self._missing_scopes()
            return
        body = {"ref": _NOWHERE, "auto_merge": False, "required_contexts": []}
        # GitHub checks the permission before it looks for the commit.
        answer = self._ask("POST", "/deployments", body)
        if _lacks(answer, 422):
            yield (
                "Deployments: write",
                "commits do not say where they run",
                answer.reason(self.token),
            )
        branches = {one.branch.name for one in self.targets if one.branch}
        lines = [
            (f"/branches/{quote(one, safe='')}", "the branch's tip") for one in sorted(branches)
        ]
        if any(one.tag for one in self.targets):
            lines.append(("/git/matching-refs/tags", "the tags"))
        for path, unknown in lines:
            answer = self._ask("GET", path)
            # A missing branch is 404, too: the hosts' rows report that.
            if answer.status != 404 and _lacks(answer, 200):
                lost = f"rounds do not know {unknown}"
                yield "Contents: read", lost, answer.reason(self.token)
                break
        for one in self.targets:
            if one.gates.checks == EVERY_CHECK and one.branch:
                yield from self._missing_for_checks(quote(one.branch.name, safe=""))
                break
        answer = self._ask("GET", "/hooks?per_page=1")
        if _lacks(answer, 200):
            yield "Webhooks: read", "lost deliveries are not noticed", answer.reason(self.token)

    def _missing_scopes(self) -> Iterator[tuple[str, str, str]]:
        """What a token of Gitea or Forgejo lacks. They check scopes before they look for a commit.

        The token may read: it just read the repository.
        """
        body = {"state": "pending", "context": "pulley"}
        answer = self._ask("POST", f"/statuses/{_NOWHERE}", body)
        if answer.status == HTTPStatus.FORBIDDEN:
            said = answer.reason(self.token)
            yield "write:repository", "commits do not say where they run", said

    def _missing_for_checks(self, branch: str) -> Iterator[tuple[str, str, str]]:
        """The permissions that `checks = true` needs."""
        for path, permission in (
            ("check-runs", "Checks: read"),
            ("status", "Commit statuses: read"),
        ):
            answer = self._ask("GET", f"/commits/{branch}/{path}?per_page=1")
            # A missing branch is 404 or 422: the hosts' rows report that.
            if answer.status not in {404, 422} and _lacks(answer, 200):
                loses = "targets with checks = true get no commit; or name the checks"
                yield permission, loses, answer.reason(self.token)

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> TokenAnswer:
        """Send a request. A refusal is returned as an answer, and not raised."""
        return ask(self.api_url, self.token, method, f"/repos/{self.repository}{path}", body)


def _lacks(answer: TokenAnswer, usual: int) -> bool:
    """Whether the permission is missing. Raises UnavailableError if the answer does not tell."""
    if answer.is_refusal:
        return True
    answer.expect(usual)
    return False


def _expiry(headers: Mapping[str, str]) -> datetime | None:
    """When the token expires, in UTC; None if it never does.

    GitHub writes `2030-01-31 12:00:00 UTC`, or with an offset: `2030-01-31 12:00:00 +0200`.
    """
    text = headers.get(_EXPIRES, "").replace("UTC", "+0000")
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
