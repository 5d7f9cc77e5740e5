"""The token that the reports use: does GitHub take it, for how long yet, and for what."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target
from chalicelib.edges.github_api import message_of
from pulley.operator.checks.row import FAIL, WARN, Row, passed

SOON = timedelta(days=14)
_SECONDS = 10.0
_EXPIRES = "github-authentication-token-expiration"
_REFUSED = frozenset({403, 404})
_MOST_READ = 4_000_000  # bytes of an answer
_NOWHERE = "0" * 40  # a commit that no repository has: nothing is made for it


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class TokenCheck:
    """A repository's token; its own, or the stage's.

    Raises UnavailableError where GitHub cannot be asked, or is not well.
    """

    api_url: str
    repository: Repository
    token: str = field(repr=False)
    targets: Sequence[Target]
    is_own: bool = False

    @property
    def what(self) -> str:
        """What its rows are of."""
        return f"GitHub token, {self.repository}"

    def check(self, *, now: datetime) -> Iterator[Row]:
        """What GitHub says of it. It makes nothing there."""
        what = self.what
        answer = self._ask("GET", "")
        if answer.status == 401:
            mend = self._mend
            words = f"GitHub does not know it, or it has expired: {self._said(answer)}"
            yield Row(what, FAIL, words, mend)
            return
        if answer.status in _REFUSED and not _is_rate_limit(answer):
            words = f"it does not cover {self.repository}, or there is no such repository"
            mend = "give it this repository, on GitHub"
            yield Row(what, FAIL, f"{words}: {self._said(answer)}", mend)
            return
        if answer.status in {301, 302, 307, 308}:
            words = f"{self.repository} has another name on GitHub now"
            yield Row(what, WARN, words, "put the new name into pulley.toml, and apply it")
            return
        _expect(answer, 200)
        missing = list(self._missing())
        for permission, loses, said in missing:
            mend = f"give it {permission}, on GitHub"
            outcome = WARN if permission.startswith("Webhooks") else FAIL
            yield Row(what, outcome, f"it lacks {permission}: {loses}; {said}", mend)
        expires = _expiry(answer.headers)
        if expires and expires - now < SOON:
            yield Row(what, WARN, f"it expires on {expires:%Y-%m-%d}", self._mend)
        elif not missing:
            until = f", until {expires:%Y-%m-%d}" if expires else ""
            yield passed(what, f"it may do what reports and rounds need{until}")

    @property
    def _mend(self) -> str:
        own = f" --repository {self.repository}" if self.is_own else ""
        return f"make one on GitHub, then pulley setup --github-token-file -{own}"

    def _said(self, answer: _Answer) -> str:
        """GitHub's own reason: single sign-on, a list of addresses, an archived repository."""
        return f"GitHub says {message_of(answer.body, self.token)}"

    def _missing(self) -> Iterator[tuple[str, str, str]]:
        """The permissions that it lacks, what is lost by that, and GitHub's own reason."""
        body = {"ref": _NOWHERE, "auto_merge": False, "required_contexts": []}
        # GitHub looks at the permission first, and then finds no such commit.
        answer = self._ask("POST", "/deployments", body)
        if _lacks(answer, 422):
            yield "Deployments: write", "commits do not say where they run", self._said(answer)
        for branch in sorted({one.branch.name for one in self.targets}):
            answer = self._ask("GET", f"/branches/{quote(branch, safe='')}")
            # A branch that is not there is 404: a host's own row says so.
            if answer.status != 404 and _lacks(answer, 200):
                yield "Contents: read", "rounds do not know the branch's tip", self._said(answer)
                break
        answer = self._ask("GET", "/hooks?per_page=1")
        if _lacks(answer, 200):
            yield "Webhooks: read", "lost deliveries are not noticed", self._said(answer)

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> _Answer:
        """A request's answer: here a refusal is one, and not an error."""
        import urllib3
        from urllib3.exceptions import HTTPError

        try:
            answer = urllib3.request(
                method,
                f"{self.api_url.rstrip('/')}/repos/{self.repository}{path}",
                body=json.dumps(body).encode() if body is not None else None,
                headers={
                    "Accept": "application/vnd.github+json",
                    "Authorization": f"Bearer {self.token}",
                    "User-Agent": "pulley",
                },
                timeout=_SECONDS,
                retries=False,
                redirect=False,
            )
        except (HTTPError, ValueError) as error:
            raise UnavailableError(
                "GitHub could not be reached", detail=type(error).__name__
            ) from None
        return _Answer(answer.status, answer.headers, answer.data[:_MOST_READ])


def _lacks(answer: _Answer, usual: int) -> bool:
    """Whether a permission is wanting. Raises UnavailableError for what says nothing of it."""
    if answer.status in _REFUSED and not _is_rate_limit(answer):
        return True
    _expect(answer, usual)
    return False


def _expect(answer: _Answer, usual: int) -> None:
    """Raise UnavailableError unless GitHub is well: then nothing is known of the token."""
    try:
        is_json = isinstance(json.loads(answer.body), dict | list)
    except (ValueError, RecursionError):
        is_json = False
    if answer.status != usual or not is_json:
        raise UnavailableError(f"GitHub answered {answer.status}, which says nothing of the token")


def _is_rate_limit(answer: _Answer) -> bool:
    """GitHub's page "Rate limits for the REST API": 403 with words, or with nothing left."""
    is_spent = answer.headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in answer.headers
    return is_spent or b"rate limit" in answer.body.lower()


def _expiry(headers: Mapping[str, str]) -> datetime | None:
    """When the token ends, in UTC; None for one without an end.

    GitHub's `2030-01-31 12:00:00 UTC`, or with an offset: `2030-01-31 12:00:00 +0200`.
    """
    text = headers.get(_EXPIRES, "").replace("UTC", "+0000")
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
