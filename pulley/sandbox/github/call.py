"""An authorized request to GitHub's API, and its answer.

What all routes share: bodies and pages.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from pulley.sandbox.github.check_events import Event, posts_of
from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.errors import GitHubError
from pulley.sandbox.github.hooks import Hooks
from pulley.sandbox.github.sender import Hookshot


class Call(NamedTuple):
    """An authorized request to a repository."""

    http: HttpRequest
    repository: HostedRepository
    url: str  # the repository's
    hooks: Hooks  # the repository's
    hookshot: Hookshot
    permissions: Mapping[str, str]  # the token's

    def tell_webhooks(self, events: Sequence[Event]) -> None:
        """Deliver what happened to the webhooks that want it, in the background."""
        self.hookshot.post_events_later(posts_of(self.hooks, events))

    def body(self) -> Mapping[str, Any]:
        """Return the JSON object; an absent body is an empty object. Raises GitHubError."""
        try:
            body = json.loads(self.http.get_data() or b"{}")
        except ValueError as error:
            raise GitHubError(400, "Problems parsing JSON") from error
        if not isinstance(body, dict):
            raise GitHubError(400, "Body should be a JSON object")
        return body


class Route(NamedTuple):
    """`path` is below the repository's; `permission` is what a fine-grained token needs."""

    method: str
    path: str
    permission: str
    handle: Callable[..., Response]


def respond(content: object, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(json.dumps(content), status, content_type="application/json; charset=utf-8")


def respond_page(
    call: Call,
    everything: Sequence[object],
    wrap: Callable[[Sequence[object]], object] = lambda page: page,
) -> Response:
    """Answer with the requested page, and with links to the others. `wrap` makes it an object."""
    arguments = call.http.args
    size, page = min(_number(arguments, "per_page", 30), 100), _number(arguments, "page", 1)
    last = max(1, -(-len(everything) // size))
    pages = {"prev": min(page - 1, last), "first": 1} if page > 1 else {}
    if page < last:
        pages |= {"next": page + 1, "last": last}
    response = respond(wrap(everything[(page - 1) * size : page * size]))
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
