"""A forge on loopback: `git http-backend` and LFS objects over HTTP, with faults."""

import base64
import contextlib
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from tests.host.conftest import AS_OWNER, Site
from tests.processes import HANG_SECONDS


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Fault:
    """What happens to the first `times` requests whose method and path contain `where`."""

    where: str
    times: int = 1000
    answer: Answer | None = None  # in place of the right one
    sent: int | None = None  # of a body that is longer, so many bytes; then ...
    then: str = "cut"  # ... the connection is "cut", or "hangs", or "trickles" for ever


class Forge:
    """Serves the site's upstream. With `credentials` ("user:password") it asks for these."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.faults: list[Fault] = []
        self.credentials = ""
        self.requests: list[str] = []
        self.is_stuck = threading.Event()  # a connection hangs or trickles
        self.ends = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = False

    def url(self, credentials: str = "") -> str:
        at = f"{credentials}@" if credentials else ""
        return f"http://{at}127.0.0.1:{self.server.server_port}/octo/site"

    def use(self, credentials: str = "") -> None:
        """Make this forge the origin of the checkout."""
        self.site.git("remote", "set-url", "origin", self.url(credentials))

    def fault_at(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.where in request and fault.times:
                fault.times -= 1
                return fault
        return None

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        wanted = base64.b64encode(self.credentials.encode()).decode()
        if self.credentials and headers.get("authorization") != f"Basic {wanted}":
            return Answer(401, {"WWW-Authenticate": 'Basic realm="forge"'}, b"")
        if path.endswith("/info/lfs/objects/batch"):
            return self._list_objects(json.loads(body))
        if path.startswith("/objects/"):
            return self._serve_object(path.rpartition("/")[2])
        return self._run_backend(method, path, headers, body)

    def object_file(self, oid: str) -> Path:
        return self.site.upstream / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid

    def _list_objects(self, asked: dict[str, list[dict[str, str]]]) -> Answer:
        listed: list[dict[str, object]] = []
        for one in asked["objects"]:
            if self.object_file(one["oid"]).exists():
                href = f"http://127.0.0.1:{self.server.server_port}/objects/{one['oid']}"
                listed.append({**one, "actions": {"download": {"href": href}}})
            else:
                listed.append({**one, "error": {"code": 404, "message": "Object does not exist"}})
        text = json.dumps({"transfer": "basic", "objects": listed})
        return Answer(200, {"Content-Type": "application/vnd.git-lfs+json"}, text.encode())

    def _serve_object(self, oid: str) -> Answer:
        return Answer(
            200, {"Content-Type": "application/octet-stream"}, self.object_file(oid).read_bytes()
        )

    def _run_backend(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        path, _, query = path.partition("?")
        environ = {
            "PATH": self.site.environ["PATH"],
            "HOME": str(self.site.root),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.site.root),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        }
        command = [*AS_OWNER, str(shutil.which("git")), "http-backend"]
        output = subprocess.run(command, env=environ, input=body, capture_output=True, check=False)
        head, _, rest = output.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().splitlines()]
        answered = {name: value for name, value in lines if name != "Status"}
        status = next((value for name, value in lines if name == "Status"), "200")
        return Answer(int(status[:3]), answered, rest)


def handler_of(forge: Forge) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            forge.requests.append(f"{self.command} {self.path}")
            fault = forge.fault_at(f"{self.command} {self.path}") or Fault("")
            answer = fault.answer or forge.answer(str(self.command), self.path, headers, body)
            with contextlib.suppress(OSError):  # the client may go at any time
                self.respond(answer, fault)

        do_POST = do_GET  # noqa: N815 - the name is http.server's

        def respond(self, answer: Answer, fault: Fault) -> None:
            stops = fault.sent is not None and fault.sent < len(answer.body)
            if not (stops and fault.sent == 0):
                self.send_response(answer.status, HTTPStatus(answer.status).phrase)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if fault.then != "trickles":
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
            self.wfile.write(answer.body[: fault.sent])
            if not stops or fault.then == "cut":
                return
            forge.is_stuck.set()
            while not forge.ends.wait(HANG_SECONDS if fault.then == "hangs" else 0.01):
                self.wfile.write(b"0005\1")  # a line of a pack with nothing in it

        def log_message(self, *_: object) -> None: ...

    return Handler


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Forge]:
    """A forge that the checkout follows."""
    forge = Forge(site)
    thread = threading.Thread(target=forge.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        forge.use()
        yield forge
    finally:
        forge.ends.set()
        forge.server.shutdown()
        thread.join()
        forge.server.server_close()
