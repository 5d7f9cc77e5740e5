"""The service that people write instead: a webhook in Flask that pulls on its own host.

Written like the tutorials that a search for "GitHub webhook Flask git pull" finds: the same
headers, the same checks, SHA-1, and the pull before the answer. The server and its sockets are left
out, and so are API Gateway and Lambda's runtime for Pulley: both begin with a complete request.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from io import BytesIO

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue

PATH = "/update_server"


def service(secret: str, pull: Callable[[], object] = lambda: None) -> Flask:
    """The service; it calls `pull` for a push to main, before it answers."""
    app = Flask("tutorial")

    @app.post(PATH)
    def update() -> ResponseReturnValue:
        for header in ("X-GitHub-Event", "X-GitHub-Delivery", "X-Hub-Signature"):
            if header not in request.headers:
                abort(418)
        if not request.is_json:
            abort(418)
        event = request.headers["X-GitHub-Event"]
        if event == "ping":
            return jsonify(msg="Hi!")
        if event != "push":
            return jsonify(msg="Wrong event type")
        if not _is_valid_signature(request.headers["X-Hub-Signature"], request.data, secret):
            abort(418)
        payload = request.get_json()
        if not payload:
            abort(418)
        if payload["ref"] != "refs/heads/main":
            return jsonify(msg="Not main; ignoring")
        pull()
        return f"Updated to {payload['after']}"

    return app


class Caller:
    """Calls a service with one delivery, as a WSGI server would, any number of times."""

    def __init__(self, app: Flask, body: bytes, headers: Mapping[str, str]) -> None:
        self._app, self._body = app, body
        self._status = ""
        self._environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": PATH,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": headers["Content-Type"],
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **{f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()},
        }

    def __call__(self) -> tuple[str, bytes]:
        """Call the service. Returns the answer's status and content."""
        environ = {**self._environ, "wsgi.input": BytesIO(self._body), "wsgi.errors": BytesIO()}
        parts = self._app.wsgi_app(environ, self._start)
        return self._status, b"".join(parts)

    def _start(
        self, status: str, _headers: object, _error: object = None
    ) -> Callable[[bytes], object]:
        self._status = status
        return lambda _content: None


def _is_valid_signature(signature: str, data: bytes, secret: str) -> bool:
    algorithm, _, presented = signature.partition("=")
    expected = hmac.new(secret.encode("latin-1"), msg=data, digestmod=getattr(hashlib, algorithm))
    return hmac.compare_digest(expected.hexdigest(), presented)
