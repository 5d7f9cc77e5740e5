"""GitHub's REST API on loopback, as far as Pulley asks it, which writes down what it is told.

It answers as GitHub's pages say, so that what passes here passes there. It can be told to fail:
`fault` sees every request first. It must never hold up its `close`, whatever a client waits for.
"""

import base64
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from pulley.sandbox.github_api import (
    GitHubError,
    RecordedDeployment,
    RecordedStatus,
    Repository,
)
from pulley.sandbox.github_hooks import Hook, HookDelivery, Hooks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = [
    "Fault",
    "GitHub",
    "Hook",
    "HookDelivery",
    "RecordedDeployment",
    "RecordedStatus",
    "Request",
]

_LOG = logging.getLogger(__name__)
_SHUTDOWN_SECONDS = 0.01  # how long the server may take to see that it is to stop
_FIRST_ID = 3_000_000_019  # beyond 32 bits with a sign, as GitHub's are
_DOCUMENTATION = "https://docs.github.com/rest"
_NO_USER_AGENT = (
    "\r\nRequest forbidden by administrative rules. Please make sure your request has a"
    " User-Agent header. Check https://developer.github.com for other possible causes.\r\n"
)
_FILTERS = ("sha", "ref", "task", "environment")
_CREATOR = {"login": "octo-deployer[bot]", "id": 49_699_333, "type": "Bot", "site_admin": False}


class Request(NamedTuple):
    """A request as it came; `query` and `body` are raw."""

    method: str
    path: str
    query: str
    body: bytes


@dataclass(frozen=True)
class Fault:
    """What to answer in place of the true answer, and how slowly.

    `silent_seconds` pass before the first byte, `drip_seconds` before each byte of the body.
    With `applied_first` the request is carried out all the same: an answer that was lost.
    """

    status: int = 500
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    silent_seconds: float = 0
    drip_seconds: float = 0
    applied_first: bool = False


class _Call(NamedTuple):
    """A request that has been let in: by whom is known, and to what."""

    http: HttpRequest
    repository: Repository
    url: str  # the repository's

    def body(self) -> Mapping[str, Any]:
        """Return the JSON object, where no body is an empty one. Raises GitHubError."""
        try:
            body = json.loads(self.http.data or b"{}")
        except ValueError as error:
            raise GitHubError(400, "Problems parsing JSON") from error
        if not isinstance(body, dict):
            raise GitHubError(400, "Body should be a JSON object")
        return body

    def show(self, deployment: RecordedDeployment) -> dict[str, object]:
        """As GitHub's answers have it."""
        url = f"{self.url}/deployments/{deployment.id}"
        shown = _show(deployment, url, self.url) | {
            "description": deployment.description or None,
            "updated_at": _show_time((deployment.status or deployment).created_at),
            "statuses_url": f"{url}/statuses",
        }
        del shown["statuses"]
        return shown

    def show_status(self, status: RecordedStatus, deployment_id: int) -> dict[str, object]:
        """As GitHub's answers have it."""
        url = f"{self.url}/deployments/{deployment_id}"
        return _show(status, f"{url}/statuses/{status.id}", self.url) | {
            "deployment_url": url,
            "target_url": status.log_url,
        }


class GitHub(AbstractContextManager["GitHub"]):
    """An API for repositories. It serves from its making on, and `close` stops it."""

    def __init__(self, repositories: Mapping[str, Path], *, token: str, port: int = 0) -> None:
        """Serve bare repositories, by full name. Raises OSError for a port in use."""
        if port:
            # Raises where werkzeug would print a line and leave the program.
            socket.create_server(("127.0.0.1", port)).close()
        ids = count(_FIRST_ID, 7)
        self._repositories = {
            name.lower(): Repository(name, path, ids) for name, path in repositories.items()
        }
        self._hooks = {name: Hooks(ids) for name in self._repositories}
        self._token = token
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.requests: list[Request] = []
        self.fault: Callable[[str, str], Fault | None] | None = None
        # Commits that have a context which is no success.
        self.pending_contexts: set[str] = set()
        rules = (
            ("GET", "deployments", self._list_deployments),
            ("POST", "deployments", self._create_deployment),
            ("GET", "deployments/<int:deployment_id>", self._get_deployment),
            ("GET", "deployments/<int:deployment_id>/statuses", self._list_statuses),
            ("POST", "deployments/<int:deployment_id>/statuses", self._create_status),
            ("GET", "branches/<path:branch>", self._get_branch),
            ("GET", "hooks", self._list_hooks),
            ("GET", "hooks/<int:hook_id>/deliveries", self._list_hook_deliveries),
        )
        self._routes = Map(
            Rule(f"/repos/<owner>/<name>/{rest}", methods=[method], endpoint=endpoint)
            for method, rest, endpoint in rules
        )
        self._server = make_server(
            "127.0.0.1", port, self._serve, threaded=True, request_handler=_QuietHandler
        )
        self.api_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_SHUTDOWN_SECONDS,), daemon=True
        )
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        """Close the API."""
        self.close()

    def deployments(self, full_name: str) -> tuple[RecordedDeployment, ...]:
        """What the repository has, oldest first. Raises KeyError for one that is not served."""
        with self._lock:
            return self._repositories[full_name.lower()].deployments

    def add_hook(self, full_name: str, url: str) -> Hook:
        """Give the repository a webhook. Raises KeyError for one that is not served."""
        with self._lock:
            return self._hooks[full_name.lower()].add(url)

    def close(self) -> None:
        """Stop serving. A request that a fault holds is answered at once, or cut short."""
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Be the WSGI application."""
        http = HttpRequest(environ)
        request = Request(http.method, http.path, http.query_string.decode("latin-1"), http.data)
        with self._lock:
            self.requests.append(request)
        try:
            # Not under the lock: a fault may look at what there is, or wait.
            decide = self.fault
            fault = decide(http.method, http.path) if decide else None
            response = self._answer(http) if fault is None or fault.applied_first else None
            if fault is not None:
                response = self._fail(fault)
        except Exception:  # noqa: BLE001 - a fault of ours is a 500, as it would be at GitHub
            _LOG.exception("%s %s failed", http.method, http.path)
            response = _respond({"message": "Server Error"}, 500)
        assert response is not None
        return response(environ, start_response)

    def _fail(self, fault: Fault) -> Response:
        self._closing.wait(fault.silent_seconds)

        def drip() -> Iterator[bytes]:
            for byte in fault.body:
                if self._closing.wait(fault.drip_seconds):
                    return
                yield bytes([byte])

        headers = {"Content-Type": "application/json; charset=utf-8", **fault.headers}
        headers["Content-Length"] = str(len(fault.body))
        return Response(drip() if fault.drip_seconds else fault.body, fault.status, headers)

    def _answer(self, http: HttpRequest) -> Response:
        if not http.headers.get("User-Agent"):
            return Response(_NO_USER_AGENT, 403, content_type="text/html; charset=utf-8")
        try:
            self._check_token(http.headers.get("Authorization", ""))
            with self._lock:
                return self._route(http)
        except GitHubError as error:
            content = {"message": error.message, "documentation_url": _DOCUMENTATION}
            content["status"] = str(error.status)
            errors = {"errors": error.errors} if error.errors else {}
            return _respond(content | errors, error.status)

    def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in {"bearer", "token"} or token != self._token:
            raise GitHubError(401, "Bad credentials")

    def _route(self, http: HttpRequest) -> Response:
        try:
            handle, values = self._routes.bind("").match(http.path, http.method)
        except HTTPException as error:
            raise GitHubError(404, "Not Found") from error
        owner, name, *rest = values.values()
        repository = self._repositories.get(f"{owner}/{name}".lower())
        if repository is None:
            raise GitHubError(404, "Not Found")
        url = f"{self.api_url}/repos/{repository.full_name}"
        response: Response = handle(_Call(http, repository, url), *rest)
        return response

    def _list_deployments(self, call: _Call) -> Response:
        asked = call.http.args
        wanted = {name: asked[name] for name in _FILTERS if asked.get(name)}
        newest_first = map(call.show, reversed(call.repository.deployments))
        return _respond_page(call, [one for one in newest_first if wanted.items() <= one.items()])

    def _create_deployment(self, call: _Call) -> Response:
        deployment = call.repository.create_deployment(call.body(), self.pending_contexts)
        return _respond(call.show(deployment), 201)

    def _get_deployment(self, call: _Call, deployment_id: int) -> Response:
        return _respond(call.show(call.repository.find_deployment(deployment_id)))

    def _list_statuses(self, call: _Call, deployment_id: int) -> Response:
        newest_first = reversed(call.repository.find_deployment(deployment_id).statuses)
        return _respond_page(call, [call.show_status(one, deployment_id) for one in newest_first])

    def _create_status(self, call: _Call, deployment_id: int) -> Response:
        status = call.repository.create_status(deployment_id, call.body())
        return _respond(call.show_status(status, deployment_id), 201)

    def _get_branch(self, call: _Call, branch: str) -> Response:
        commit = call.repository.branch_commit(branch)
        shown = {"sha": commit, "url": f"{call.url}/commits/{commit}"}
        return _respond({"name": branch, "commit": shown, "protected": False})

    def _list_hooks(self, call: _Call) -> Response:
        return _respond_page(call, self._hooks[call.repository.full_name.lower()].show(call.url))

    def _list_hook_deliveries(self, call: _Call, hook_id: int) -> Response:
        hooks = self._hooks[call.repository.full_name.lower()]
        deliveries = hooks.show_deliveries(hook_id)
        if deliveries is None:
            raise GitHubError(404, "Not Found")
        return _respond_page(call, deliveries)


def _respond_page(call: _Call, everything: Sequence[object]) -> Response:
    """Answer with the page that was asked for, and with links to the others."""
    arguments = call.http.args
    size, page = min(_number(arguments, "per_page", 30), 100), _number(arguments, "page", 1)
    last = max(1, -(-len(everything) // size))
    pages = {"prev": min(page - 1, last), "first": 1} if page > 1 else {}
    if page < last:
        pages |= {"next": page + 1, "last": last}
    response = _respond(everything[(page - 1) * size : page * size])
    links = (
        f'<{call.http.base_url}?{urlencode({**arguments, "page": number})}>; rel="{relation}"'
        for relation, number in pages.items()
    )
    if pages:
        response.headers["Link"] = ", ".join(links)
    return response


def _number(arguments: Mapping[str, str], name: str, default: int) -> int:
    text = arguments.get(name, "")
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else default


def _respond(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content), status, content_type="application/json; charset=utf-8")


def _show(
    record: RecordedDeployment | RecordedStatus, url: str, repository_url: str
) -> dict[str, object]:
    """What the two have in common; a record's names are GitHub's."""
    return vars(record) | {
        "url": url,
        "node_id": base64.urlsafe_b64encode(url.encode()).decode(),
        "creator": _CREATOR,
        "created_at": _show_time(record.created_at),
        "updated_at": _show_time(record.created_at),
        "repository_url": repository_url,
    }


def _show_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing."""
