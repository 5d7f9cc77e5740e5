"""GitHub's git: a repository served over HTTP, which tells the API of each push.

git's own `http-backend` serves it, so hosts fetch and people push as with GitHub. Nobody signs in,
but a push runs programs on the hosts: so only the user's own programs can connect.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from git import Actor, Repo
from werkzeug.wsgi import get_input_stream

from pulley.sandbox.private.server import LoopbackServer
from pulley.sandbox.quiet import QuietHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SOMEONE = Actor("Someone", "someone@example.invalid")
# The hook's environment comes from git, so what it needs is written into the hook.
_HOOK = """\
#!/bin/sh
# Has a delivery posted to each webhook for each ref that was pushed, as GitHub does.
exec {python} -m pulley.sandbox.github.post_receive {url} {key_file} {full_name}
"""
_CHUNK = 65536


class Upstream:
    """A bare repository, and the loopback server for pushes and fetches."""

    def __init__(self, directory: Path, full_name: str) -> None:
        """Make the repository and begin to serve it."""
        self.full_name = full_name
        self._root = directory
        self.path = directory / f"{full_name}.git"
        repository = Repo.init(self.path, mkdir=True, bare=True, initial_branch="main")
        with repository.config_writer() as config:
            config.set_value("http", "receivepack", "true")
        self._server = LoopbackServer(0, self._serve, QuietHandler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{full_name}.git"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def tell_of_pushes(self, push_url: str, push_key: str) -> None:
        """From now on, tell the sandbox's GitHub of each push: see its `push_url`."""
        key_file = self.path / "push-key"
        key_file.touch(mode=0o600)
        key_file.write_text(push_key)
        hook = self.path / "hooks/post-receive"
        hook.write_text(
            _HOOK.format(
                python=shlex.quote(sys.executable),
                url=shlex.quote(push_url),
                key_file=shlex.quote(str(key_file)),
                full_name=shlex.quote(self.full_name),
            )
        )
        hook.chmod(0o755)

    @contextmanager
    def losing_deliveries(self) -> Iterator[None]:
        """Within this context, GitHub is not told of pushes."""
        hook = self.path / "hooks/post-receive"
        hook.chmod(0o644)
        try:
            yield
        finally:
            hook.chmod(0o755)

    def close(self) -> None:
        """Stop serving. The repository's folder stays."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """The WSGI application: git's CGI program does the work."""
        with tempfile.TemporaryFile() as body:
            shutil.copyfileobj(get_input_stream(environ), body)
            body.seek(0)
            # Read it all, because werkzeug does not close an iterator when its client has gone.
            backend = subprocess.run(
                ["git", "http-backend"],
                env=_cgi_environment(environ, self._root),
                stdin=body,
                stdout=subprocess.PIPE,
                check=False,
            )
        head, _, answer = backend.stdout.partition(b"\r\n\r\n")
        lines = (line.partition(":") for line in head.decode().splitlines())
        headers = {name: value.strip() for name, _, value in lines}
        start_response(headers.pop("Status", "200 OK"), list(headers.items()))
        return [answer]


def _cgi_environment(environ: "WSGIEnvironment", root: Path) -> dict[str, str]:
    """The variables for CGI and http-backend, without the rest of our own environment."""
    passed_on = {
        name: value
        for name, value in environ.items()
        if isinstance(value, str) and name.startswith(("HTTP_", "CONTENT_", "REQUEST_", "QUERY_"))
    }
    return passed_on | {
        "PATH": os.environ["PATH"],
        "PATH_INFO": environ["PATH_INFO"],
        "REMOTE_ADDR": "127.0.0.1",
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""),
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
