"""A fine-grained token's permissions in GitHub's API, and the headers about it in each answer.

From GitHub's pages "Permissions required for fine-grained personal access tokens",
"Troubleshooting the REST API" and "Rate limits for the REST API".
"""

import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from pulley.sandbox.github.errors import GitHubError

# All that Pulley uses. GitHub's form says "Webhooks", and its API `repository_hooks`.
PERMISSIONS: Mapping[str, str] = {
    "metadata": "read",
    "contents": "read",
    "deployments": "write",
    "webhooks": "write",
}
_API_NAMES = {"webhooks": "repository_hooks"}
_REQUESTS_AN_HOUR = 5000
_LEVELS = ("", "read", "write")


def check_token(authorization: str, token: str, expires: datetime | None) -> None:
    """Raise GitHubError if it is another token, or if it has expired."""
    scheme, _, given = authorization.partition(" ")
    is_it = hmac.compare_digest(given.encode(), token.encode())
    if scheme.lower() not in {"bearer", "token"} or not is_it:
        raise GitHubError(401, "Bad credentials")
    if expires is not None and expires <= datetime.now(UTC):
        raise GitHubError(401, "Bad credentials")


def check_permission(permissions: Mapping[str, str], needed: str) -> None:
    """Raise GitHubError if the permissions do not include what is needed, like `contents=read`.

    Every token may read the metadata of the repositories that it covers. If it may not, it does not
    cover this one, and GitHub answers that there is no such repository.
    """
    name, _, level = needed.partition("=")
    if "metadata" not in permissions:
        raise GitHubError(404, "Not Found")
    if _LEVELS.index(permissions.get(name, "")) < _LEVELS.index(level):
        raise GitHubError(403, "Resource not accessible by personal access token")


def accepted_permissions(needed: str) -> dict[str, str]:
    """The header that names the permission for a request, whether it was allowed or not."""
    name, _, level = needed.partition("=")
    return {"X-Accepted-GitHub-Permissions": f"{_API_NAMES.get(name, name)}={level}"}


def expiration(expires: datetime | None) -> dict[str, str]:
    """The header that says when the token expires, if it does."""
    if expires is None:
        return {}
    words = expires.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"github-authentication-token-expiration": words}


class RateLimit:
    """Counts a token's requests by the hour. It refuses none, unless a test asks for that."""

    def __init__(self) -> None:
        """The hour begins now."""
        self._used, self._reset = 0, time.time() + 3600

    def take(self) -> dict[str, str]:
        """Count a request, and return the headers. Not for several threads at once."""
        if time.time() >= self._reset:
            self._used, self._reset = 0, time.time() + 3600
        self._used += 1
        return {
            "X-RateLimit-Limit": str(_REQUESTS_AN_HOUR),
            "X-RateLimit-Remaining": str(max(0, _REQUESTS_AN_HOUR - self._used)),
            "X-RateLimit-Used": str(self._used),
            "X-RateLimit-Reset": str(int(self._reset)),
            "X-RateLimit-Resource": "core",
        }
