"""Send a request to GitHub to test a token. A refusal is an answer here, and not an error."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.errors import UnavailableError
from chalicelib.edges.github_api import message_of

REFUSED = frozenset({403, 404})
_SECONDS = 10.0
_MOST_READ = 4_000_000  # bytes of an answer


@dataclass(frozen=True)
class TokenAnswer:
    """What GitHub answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_rate_limit(self) -> bool:
        """Whether a limit was exceeded: GitHub's page "Rate limits for the REST API"."""
        has_none = self.headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in self.headers
        return has_none or b"rate limit" in self.body.lower()

    @property
    def is_refusal(self) -> bool:
        """Whether the token may not do this."""
        return self.status in REFUSED and not self.is_rate_limit

    def expect(self, usual: int) -> None:
        """Raise UnavailableError for any other answer, which says nothing about the token."""
        try:
            is_json = isinstance(json.loads(self.body), dict | list)
        except (ValueError, RecursionError):
            is_json = False
        if self.status != usual or not is_json:
            raise UnavailableError(
                f"GitHub answered {self.status}, which says nothing of the token"
            )

    def reason(self, token: str) -> str:
        """GitHub's reason, such as single sign-on, an allow list or an archived repository."""
        return f"GitHub says {message_of(self.body, token)}"


def ask(
    api_url: str, token: str, method: str, path: str, body: Mapping[str, object] | None = None
) -> TokenAnswer:
    """Send a request with the token. Raises UnavailableError if there is no answer."""
    import urllib3
    from urllib3.exceptions import HTTPError

    try:
        answer = urllib3.request(
            method,
            f"{api_url.rstrip('/')}{path}",
            body=json.dumps(body).encode() if body is not None else None,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "User-Agent": "pulley",
            },
            timeout=_SECONDS,
            retries=False,
            redirect=False,
        )
    except (HTTPError, ValueError) as error:
        raise UnavailableError("GitHub could not be reached", detail=type(error).__name__) from None
    return TokenAnswer(answer.status, answer.headers, answer.data[:_MOST_READ])
