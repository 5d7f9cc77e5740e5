"""The token that the reports use: does GitHub take it, for how long yet, and for what."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError

from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target
from pulley.operator.checks.row import FAIL, WARN, Row, passed

SOON = timedelta(days=14)
_SECONDS = 10.0
_EXPIRES = "github-authentication-token-expiration"
_MEND = "make one on GitHub, then pulley setup --github-token-file -"
_NOWHERE = "0" * 40  # a commit that no repository has: nothing is made for it


@dataclass(frozen=True)
class TokenCheck:
    """A repository's token. Raises UnavailableError where GitHub cannot be asked."""

    api_url: str
    repository: Repository
    token: str = field(repr=False)
    targets: Sequence[Target]

    @property
    def what(self) -> str:
        """What its rows are of."""
        return f"GitHub token, {self.repository}"

    def check(self, *, now: datetime) -> Iterator[Row]:
        """What GitHub says of it. It makes nothing there."""
        what = self.what
        status, headers = self._ask("GET", "")
        if status == 401:
            yield Row(what, FAIL, "GitHub does not know it, or it has expired", _MEND)
            return
        if status in {403, 404}:
            words = f"it does not cover {self.repository}, or there is no such repository"
            yield Row(what, FAIL, words, "give it this repository, on GitHub")
            return
        if status in {301, 302, 307, 308}:
            words = f"{self.repository} has another name on GitHub now"
            yield Row(what, WARN, words, "put the new name into pulley.toml, and apply it")
            return
        missing = [one for one in self._missing() if one]
        for permission, loses in missing:
            mend = f"give it {permission}, on GitHub"
            outcome = WARN if permission.startswith("Webhooks") else FAIL
            yield Row(what, outcome, f"it lacks {permission}: {loses}", mend)
        expires = _expiry(headers)
        if expires and expires - now < SOON:
            words = f"it expires on {expires:%Y-%m-%d}"
            yield Row(what, WARN, words, _MEND)
        elif not missing:
            until = f", until {expires:%Y-%m-%d}" if expires else ""
            yield passed(what, f"it may do what reports and rounds need{until}")

    def _missing(self) -> Iterator[tuple[str, str]]:
        """The permissions that it lacks, and what is lost by that."""
        body = {"ref": _NOWHERE, "auto_merge": False, "required_contexts": []}
        # GitHub looks at the permission first, and then finds no such commit.
        if self._ask("POST", "/deployments", body)[0] in {403, 404}:
            yield "Deployments: write", "commits do not say where they run"
        if any(
            self._ask("GET", f"/branches/{quote(branch, safe='')}")[0] == 403
            for branch in {one.branch.name for one in self.targets}
        ):
            yield "Contents: read", "rounds do not know the branch's tip"
        if self._ask("GET", "/hooks?per_page=1")[0] in {403, 404}:
            yield "Webhooks: read", "lost deliveries are not noticed"

    def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> tuple[int, Mapping[str, str]]:
        """A request's status and headers: here a refusal is an answer, not an error."""
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
        return answer.status, answer.headers


def _expiry(headers: Mapping[str, str]) -> datetime | None:
    """When the token ends; None for one without an end. GitHub's `2030-01-31 12:00:00 UTC`."""
    try:
        told = datetime.strptime(headers.get(_EXPIRES, "")[:19], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        return None
    return told.replace(tzinfo=UTC)
