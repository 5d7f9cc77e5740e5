"""Calls GitHub's REST API: sends one request, and maps its answer.

A token that was refused, or that has reached its rate limit, is not used again for a while, so that
no push waits for what is known to fail. A token that only lacks a permission is still used for the
other parts of the API: a token that may not read webhooks still reports deployments.

urllib3 is imported where it is used, as the SDK is in aws.py.

Source: GitHub's pages "Best practices for using the REST API" and "Permissions required for
fine-grained personal access tokens".
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urljoin

from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.refs import Repository, shown
from chalicelib.edges.aws import Deadline

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
MAX_ANSWER_BYTES = 4_000_000
RETRY_SECONDS = 2.0  # after an error of GitHub's own
REFUSED_SECONDS = 300.0  # how long a refused token is not used
DEFAULT_WAIT_SECONDS = 60.0  # GitHub's advice if a secondary limit names no time
MAX_WAIT_SECONDS = 3600.0  # a primary limit is over within the hour
MAX_REDIRECTS = 3
_TOKEN = re.compile("[!-~]{1,1000}")  # what a header can carry
_REDIRECTS = frozenset({301, 302, 307, 308})
_PERMISSIONS = {  # by the part of a path
    "deployments": "Deployments: write",
    "branches": "Contents: read",
    "commits": "Contents: read",
    "compare": "Contents: read",
    "check-runs": "Checks: read",
    "status": "Commit statuses: read",
    "git": "Contents: read",
    "releases": "Contents: read",
    "hooks": "Webhooks: read",
}
_TO_CHANGE = {"hooks": "Webhooks: write"}  # where reading needs less
_EVERY_PART = ""  # a token that is not valid is closed for all of the API

Answer = tuple[int, Mapping[str, str], bytes]  # status, headers and content


class TokenError(NotTakenError):
    """GitHub refused the token, or does not allow it this request."""


class RateLimitError(UnavailableError):
    """The rate limit is reached."""


class GoneError(NotTakenError):
    """The deployment, branch or webhook does not exist (any more), or not for this token."""


class ConflictError(NotTakenError):
    """GitHub answered 409. `errors` are the answer's `errors`, which may have any shape."""

    def __init__(self, message: str, errors: object) -> None:
        """The message is for the operator."""
        super().__init__(message)
        self.errors = errors


class GitHubApi:
    """An API address; it keeps connections, and remembers which tokens were refused."""

    def __init__(self, api_url: str, clock: Callable[[], float] = time.time) -> None:
        """`clock` is in epoch seconds, in which GitHub gives the end of a rate limit."""
        import urllib3

        self._api_url = api_url.rstrip("/")
        self._origin = "/".join(self._api_url.split("/")[:3])
        self._clock = clock
        self._pool = urllib3.PoolManager(maxsize=8)
        # By token, and repository and part or "" for all: until when not to ask, and why.
        self._closed: dict[tuple[str, str, str], tuple[float, str]] = {}
        self._lock = threading.Lock()

    def call(  # noqa: PLR0913 - one request
        self,
        method: str,
        repository: Repository,
        path: str,
        *,
        token: str,
        deadline: Deadline,
        body: Mapping[str, object] | None = None,
        has_content: bool = True,
    ) -> Any:  # noqa: ANN401 - JSON
        """The answer's JSON; None without `has_content`. Raises NotTakenError, UnavailableError."""
        from urllib3.exceptions import HTTPError

        part = _part(path)
        self._check_open(token, str(repository), part)
        if not _TOKEN.fullmatch(token):  # the HTTP library would raise, and show it
            problem = TokenError("the stored token is not one line of ASCII without spaces")
            raise self._noted((token, str(repository), _EVERY_PART), problem)
        request = partial(self._request, method, token, deadline, body)
        url = f"{self._api_url}/repos/{repository}{path}"
        try:
            status, headers, content = self._follow(request, url)
        except HTTPError as error:
            raise UnavailableError(
                "GitHub could not be reached",
                detail=f"{method} {path}: {type(error).__name__}",
                retry_seconds=RETRY_SECONDS,
            ) from None
        if status >= 300:
            message = message_of(content, token)
            words = f"{method} {path}: GitHub answered {status}, {message}"
            is_limit = _is_rate_limit(status, headers, message)
            wait = _wait_seconds(headers, self._clock()) if is_limit else None
            closed = (token, str(repository), _EVERY_PART if status == 401 else part)
            if status == 409:
                raise ConflictError(words, _errors_in(content))
            needed = partial(self.permission_for, method, part)
            raise self._noted(closed, _error_for(words, path, status, wait, needed))
        if not has_content:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise unreadable(f"{method} {path}: not JSON") from None

    def permission_for(self, method: str, part: str) -> str:
        """What a token needs for a request."""
        needed = _PERMISSIONS[part] if method == "GET" else _TO_CHANGE.get(part, _PERMISSIONS[part])
        return f"the permission {needed} on this repository"

    def _follow(self, request: Callable[[str], Answer], url: str) -> Answer:
        """Follow the redirects of a renamed repository; each is a request within the deadline.

        Redirects out of the API are not followed: they must not get the token.
        """
        for _ in range(MAX_REDIRECTS):
            answer = request(url)
            status, headers, _content = answer
            next_url = self._within(url, headers.get("Location", ""))
            if status not in _REDIRECTS or not next_url:
                return answer
            url = next_url
        return request(url)

    def _within(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location) if location else ""
        except ValueError:
            return ""
        return target if target.startswith(f"{self._origin}/") else ""

    def _request(
        self,
        method: str,
        token: str,
        deadline: Deadline,
        body: Mapping[str, object] | None,
        url: str,
    ) -> Answer:
        """Raises LateError and urllib3's errors."""
        from urllib3 import Timeout

        deadline.check()
        patience = max(0.01, min(READ_SECONDS, deadline.left()))
        response = self._pool.request(
            method,
            url,
            body=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "User-Agent": "pulley",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            timeout=Timeout(connect=min(CONNECT_SECONDS, patience), read=patience),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        content = response.read(MAX_ANSWER_BYTES)
        if len(content) >= MAX_ANSWER_BYTES:  # the rest is not read
            response.close()
        response.release_conn()
        return response.status, response.headers, content

    def _noted(self, key: tuple[str, str, str], error: PulleyError) -> PulleyError:
        """Remember whether the error closes the token, and until when."""
        if isinstance(error, TokenError):
            seconds, words = REFUSED_SECONDS, str(error)
        elif isinstance(error, RateLimitError):
            key = (key[0], "", _EVERY_PART)
            seconds, words = error.retry_seconds or 0.0, error.detail
        else:
            return error
        now = self._clock()
        with self._lock:  # several threads are refused at once
            self._closed = {old: kept for old, kept in self._closed.items() if kept[0] > now}
            self._closed[key] = (now + seconds, words)
        return error

    def _check_open(self, token: str, repository: str, part: str) -> None:
        now = self._clock()
        until, words = self._closed.get((token, "", _EVERY_PART), (0.0, ""))
        if now < until:
            raise _rate_limit(words, until - now)
        for closed in (_EVERY_PART, part):
            until, words = self._closed.get((token, repository, closed), (0.0, ""))
            if now < until:
                raise TokenError(words, is_known=True)


def unreadable(detail: str) -> UnavailableError:
    """The error for an answer that GitHub's pages do not describe."""
    return UnavailableError(
        "GitHub's answer cannot be read", detail=detail, retry_seconds=RETRY_SECONDS
    )


def _rate_limit(words: str, seconds: float) -> RateLimitError:
    return RateLimitError("GitHub's rate limit is reached", detail=words, retry_seconds=seconds)


def _part(path: str) -> str:
    """The part of the API that a path is of: each needs a permission of its own."""
    parts = path.partition("?")[0].split("/")[1:]
    is_of_commit = parts[0] == "commits" and len(parts) == 3
    return parts[2] if is_of_commit else parts[0]


def _error_for(
    words: str, path: str, status: int, wait: float | None, needed: Callable[[], str]
) -> PulleyError:
    """Map a status of 300 or more; `wait` is in seconds, for a rate limit.

    `needed` says what the token needs.

    404 also means that a token may not see it. A whole part (`/hooks`) always exists, so a 404 for
    it is about the token; for one thing within it (`/branches/main`), it is about that thing.
    """
    if wait is not None:
        return _rate_limit(words, wait)
    if status == 401:
        return TokenError(f"{words}: the token is not valid, or has expired")
    part = _part(path)
    if status == 404 and path.partition("?")[0] != f"/{part}":
        return GoneError(words)
    if status in {403, 404}:
        or_else = "there is no such repository, or " if status == 404 else ""
        return TokenError(f"{words}: {or_else}the token needs {needed()}")
    if status >= 500:
        return UnavailableError("GitHub is not well", detail=words, retry_seconds=RETRY_SECONDS)
    return NotTakenError(words)


def message_of(content: bytes, token: str) -> str:
    """GitHub's message in an answer, cut; without the token, which some proxies echo."""
    try:
        return shown(str(json.loads(content)["message"]).replace(token, "..."))
    except (ValueError, TypeError, KeyError, RecursionError):
        return "without a message"


def _errors_in(content: bytes) -> object:
    try:
        return json.loads(content)["errors"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _is_rate_limit(status: int, headers: Mapping[str, str], message: str) -> bool:
    # A 403 may mean a missing permission, too.
    has_no_more = "Retry-After" in headers or headers.get("X-RateLimit-Remaining") == "0"
    return status == 429 or (status == 403 and (has_no_more or "rate limit" in message.lower()))


def _wait_seconds(headers: Mapping[str, str], now: float) -> float:
    """How long to wait. Every answer has a reset: it counts only if no request is left."""
    after, reset = headers.get("Retry-After", ""), headers.get("X-RateLimit-Reset", "")
    wait = DEFAULT_WAIT_SECONDS
    if after.isdecimal():
        wait = float(after)
    elif reset.isdecimal() and headers.get("X-RateLimit-Remaining") == "0":
        wait = float(reset) - now
    return min(max(wait, 1.0), MAX_WAIT_SECONDS)
