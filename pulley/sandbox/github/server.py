"""GitHub's REST API on loopback, as far as Pulley uses it. It records what it is told.

It answers as GitHub's pages say, so that what works here works there. A test can make it fail:
`fault` sees every request first. `close` must never wait for a client.
"""

import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from pulley.sandbox.github import (
    check_routes,
    commit_routes,
    hook_routes,
    repository_routes,
    tag_routes,
)
from pulley.sandbox.github.access import (
    PERMISSIONS,
    RateLimit,
    accepted_permissions,
    check_permission,
    check_token,
    expiration,
)
from pulley.sandbox.github.call import Call, Route, respond
from pulley.sandbox.github.check_events import Event
from pulley.sandbox.github.checker import Checker
from pulley.sandbox.github.deployments import HostedRepository, RecordedDeployment, RecordedStatus
from pulley.sandbox.github.errors import GitHubError
from pulley.sandbox.github.event_source import EventSource
from pulley.sandbox.github.fault import Fault
from pulley.sandbox.github.hooks import HookConfig, HookDelivery, Hooks, HostedHook
from pulley.sandbox.github.jobs import Jobs
from pulley.sandbox.github.pushes import PUSHES, Push, tell_of_pushes
from pulley.sandbox.github.release_events import release_events
from pulley.sandbox.github.sender import Hookshot
from pulley.sandbox.private.server import LoopbackServer
from pulley.sandbox.quiet import QuietHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Source = TypeVar("Source", bound=EventSource)

__all__ = [
    "Fault",
    "GitHubError",
    "GitHubServer",
    "HookConfig",
    "HookDelivery",
    "HostedHook",
    "RecordedDeployment",
    "RecordedStatus",
    "Request",
]

_LOG = logging.getLogger(__name__)
_SHUTDOWN_SECONDS = 0.01  # how long the server may take to notice that it should stop
_FIRST_ID = 3_000_000_019  # larger than a signed 32-bit number, like GitHub's
_DOCUMENTATION = "https://docs.github.com/rest"
_NO_USER_AGENT = (
    "\r\nRequest forbidden by administrative rules. Please make sure your request has a"
    " User-Agent header. Check https://developer.github.com for other possible causes.\r\n"
)
# Compiled once: tests open hundreds of servers.
_ROUTES = Map(
    Rule(f"/repos/<owner>/<name>{one.path}", methods=[one.method], endpoint=one)
    for module in (repository_routes, commit_routes, tag_routes, check_routes, hook_routes)
    for one in module.ROUTES
)


class Request(NamedTuple):
    """A received request; `query` and `body` are raw."""

    method: str
    path: str
    query: str
    body: bytes


class GitHubServer(AbstractContextManager["GitHubServer"]):
    """An API for repositories. It serves from construction until `close`."""

    def __init__(self, repositories: Mapping[str, Path], *, token: str, port: int = 0) -> None:
        """Serve bare repositories, by full name. Raises OSError for a port in use."""
        ids = count(_FIRST_ID, 7)
        self._repositories = {
            name.lower(): HostedRepository(name, path, ids) for name, path in repositories.items()
        }
        self._hooks = {name: Hooks(ids) for name in self._repositories}
        self.token = token
        # The token's permissions, and when it expires (aware). A test may change both.
        self.permissions = dict(PERMISSIONS)
        self.token_expires: datetime | None = None
        self._rate_limit = RateLimit()
        self.hookshot = Hookshot()
        # The upstream's post-receive hook has this key too, and shows it when it reports a push.
        self.push_key = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.requests: list[Request] = []
        self.fault: Callable[[str, str], Fault | None] | None = None
        self._server = LoopbackServer(port, self._serve, QuietHandler)
        self.api_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_SHUTDOWN_SECONDS,), daemon=True
        )
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        """Close the API."""
        self.close()

    def deployments(self, full_name: str) -> tuple[RecordedDeployment, ...]:
        """The repository's deployments, oldest first. Raises KeyError if it is not served."""
        with self._lock:
            return self._repositories[full_name.lower()].deployments

    def add_hook(
        self, full_name: str, url: str, *, secret: str = "", events: Iterable[str] = ("push",)
    ) -> HostedHook:
        """Give the repository a webhook without a ping. Raises KeyError if it is not served."""
        config = HookConfig(url, "json", secret)
        with self._lock:
            return self._hooks[full_name.lower()].add(config, tuple(events))

    def hooks(self, full_name: str) -> list[HostedHook]:
        """The repository's webhooks, with their secrets. Raises KeyError if it is not served."""
        with self._lock:
            return self._hooks[full_name.lower()].all()

    def checker(self, full_name: str) -> Checker:
        """A CI server that reports on the repository's commits. Raises KeyError likewise."""
        return self._source(Checker, full_name)

    def publish_release(self, full_name: str, tag: str, **fields: object) -> list[HookDelivery]:
        """Publish a release, or what the fields make of it, like `prerelease`.

        Returns its deliveries. Raises KeyError, and GitHubError for what GitHub would refuse.
        """
        source = self._source(EventSource, full_name)

        def publish() -> list[Event]:
            release = source.repository.releases.create({"tag_name": tag, **fields})
            return release_events(source.repository, source.url, release, None)

        return source.deliver(publish)

    def jobs(self, full_name: str) -> Jobs:
        """GitHub Actions for the repository. Raises KeyError if it is not served."""
        return self._source(Jobs, full_name)

    def _source(self, kind: type[Source], full_name: str) -> Source:
        name = full_name.lower()
        repository, hooks = self._repositories[name], self._hooks[name]
        url = self._url_of(repository)
        return kind(repository, hooks, self.hookshot, url=url, lock=self._lock)

    @property
    def push_url(self) -> str:
        """Where the upstream's hook reports pushes: beside the API, not in it."""
        return f"{self.api_url}{PUSHES}"

    def close(self) -> None:
        """Stop serving. A request that a fault delays is answered at once, or cut short."""
        self._closing.set()
        self.hookshot.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """The WSGI application."""
        http = HttpRequest(environ)
        try:
            is_push = http.path == PUSHES
            response = self._take_pushes(http) if is_push else self._answer_or_fail(http)
        except Exception:  # noqa: BLE001 - our own fault is a 500, as at GitHub
            _LOG.exception("%s %s failed", http.method, http.path)
            response = respond({"message": "Server Error"}, 500)
        return response(environ, start_response)

    def _answer_or_fail(self, http: HttpRequest) -> Response:
        # get_data: GitHub reads each body as JSON, and `curl -d` sends the content type of a form.
        body = http.get_data()
        request = Request(http.method, http.path, http.query_string.decode("latin-1"), body)
        with self._lock:
            self.requests.append(request)
        # Not under the lock: a fault may read this server's state, or wait.
        fault = self.fault(http.method, http.path) if self.fault else None
        if fault is None:
            return self._answer(http)
        if fault.applied_first:
            self._answer(http)
        return fault.respond(self._closing)

    def _answer(self, http: HttpRequest) -> Response:
        if not http.headers.get("User-Agent"):
            return Response(_NO_USER_AGENT, 403, content_type="text/html; charset=utf-8")
        headers: dict[str, str] = {}
        try:
            check_token(http.headers.get("Authorization", ""), self.token, self.token_expires)
            headers |= expiration(self.token_expires)
            with self._lock:
                headers |= self._rate_limit.take()
                response = self._route(http, headers)
        except GitHubError as error:
            content = {"message": error.message, "documentation_url": _DOCUMENTATION}
            content["status"] = str(error.status)
            errors = {"errors": error.errors} if error.errors else {}
            response = respond(content | errors, error.status)
        response.headers.update(headers)
        return response

    def _route(self, http: HttpRequest, headers: dict[str, str]) -> Response:
        """Answer, and add the route's headers. Raises GitHubError."""
        try:
            found, values = _ROUTES.bind("").match(http.path, http.method)
        except HTTPException as error:
            raise GitHubError(404, "Not Found") from error
        route: Route = found
        owner, name, *rest = values.values()
        repository = self._repositories.get(f"{owner}/{name}".lower())
        if repository is None:
            raise GitHubError(404, "Not Found")
        headers |= accepted_permissions(route.permission)
        check_permission(self.permissions, route.permission)
        call = Call(
            http,
            repository,
            self._url_of(repository),
            self._hooks[repository.full_name.lower()],
            self.hookshot,
            self.permissions,
        )
        return route.handle(call, *rest)

    def _url_of(self, repository: HostedRepository) -> str:
        return f"{self.api_url}/repos/{repository.full_name}"

    def _take_pushes(self, http: HttpRequest) -> Response:
        """Deliver the pushes that the upstream's hook reports. Returns the webhooks' answers."""
        key = http.headers.get("Authorization", "")
        if not hmac.compare_digest(key.encode(), self.push_key.encode()):
            return respond({"message": "Not Found"}, 404)
        told = json.loads(http.get_data())
        repository = self._repositories[told["full_name"].lower()]
        hooks = self._hooks[repository.full_name.lower()]
        # Not under the lock: the receiver of the delivery may call the API meanwhile.
        pushes = [Push(*one) for one in told["pushes"]]
        return respond(tell_of_pushes(repository, hooks, self.hookshot, pushes))
