"""A function as Lambda runs it: the zip, AWS's runtime interface client, and the runtime API.

The process has boto3 and what boto3 needs, as Lambda's Python has, and nothing else: neither
this virtual environment nor the checkout.
Source: AWS Lambda developer guide, "Using the Lambda runtime API", "Defined runtime environment
variables" and "Building Lambda functions with Python" (runtime-included SDK).
"""

import json
import queue
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from tests.deploy.project import REGION
from tests.processes import DIE_WITH_US, HANG_SECONDS

_API = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Invocation:
    """An event for the function."""

    id: str
    event: str
    deadline_ms: int


@dataclass(frozen=True)
class Answer:
    """How an event ended: `kind` is Lambda's term: response, error, or init/error."""

    kind: str
    body: Any


class _Handler(BaseHTTPRequestHandler):
    """The runtime's side of the API."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        assert self.path == f"{_API}/invocation/next"
        invocation = self.server.events.get()
        if invocation is None:  # `close` has killed the client
            self.close_connection = True
            return
        arn = f"arn:aws:lambda:{REGION}:123456789012:function:{self.server.function_name}"
        self._say(
            200,
            invocation.event,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": arn,
                "Lambda-Runtime-Trace-Id": "Root=1-5e66d96f-7491f09xmpl79d18acf3d050",
            },
        )

    def do_POST(self) -> None:
        kind = re.fullmatch(rf"{_API}/(?:invocation/[^/]+/(\w+)|(init/error))", self.path)
        assert kind, self.path
        # The client's C code sends chunks, its Python code a Content-Length.
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self._say(202, '{"status": "OK"}', {})
        self.server.answers.put(Answer(kind[1] or kind[2], json.loads(body)))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _say(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        content = body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, function_name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.function_name = function_name
        self.events: queue.Queue[Invocation | None] = queue.Queue()
        self.answers: queue.Queue[Answer] = queue.Queue()


@dataclass(frozen=True)
class Python:
    """Lambda's Python: `sdk` has boto3, `client` what Lambda's own part needs."""

    sdk: Path
    client: Path

    @classmethod
    def build(cls, folder: Path) -> "Python":
        """Build it in an existing, empty folder."""
        python = cls(folder / "sdk", folder / "client")
        for place, name in ((python.sdk, "boto3"), (python.client, "awslambdaric")):
            place.mkdir()
            for distribution_name in _with_what_it_needs(name):
                _link(distribution_name, place)
        return python

    def command(self, *arguments: str) -> list[str]:
        """Without `site`, Python has only its standard library and PYTHONPATH."""
        return [sys.executable, "-S", *arguments]

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PYTHONPATH": f"{self.client}:{self.sdk}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
        }


@dataclass(frozen=True)
class Unpacked:
    """The unpacked zip, as Lambda has it; the functions by their names in app.py."""

    task_root: Path
    functions: dict[str, dict[str, Any]]


class Function:
    """One of the app's functions, warm between events. A context manager: `close` kills it."""

    def __init__(
        self,
        task_root: Path,
        python: Python,
        properties: Mapping[str, Any],
        *,
        environ: Mapping[str, str],
        log: Path,
    ) -> None:
        """`task_root` is the unpacked zip; `properties` are the function's in the template."""
        self._timeout = float(properties["Timeout"])
        self._log = log
        name = "pulley-under-test"
        self._server = _Server(name)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        variables = {
            **python.environ,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(properties["MemorySize"]),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_REGION": REGION,
            "LAMBDA_TASK_ROOT": str(task_root),
            "_HANDLER": properties["Handler"],
            **properties["Environment"]["Variables"],
            **environ,
        }
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [*DIE_WITH_US, *python.command("-m", "awslambdaric", properties["Handler"])],
                cwd=task_root,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def log(self) -> str:
        """Its output, which Lambda would send to CloudWatch Logs."""
        return self._log.read_text()

    @property
    def pid(self) -> int:
        """The id of its one process, which never restarts. Fails if the process has ended."""
        assert self._process.poll() is None, self.log
        return self._process.pid

    def invoke(self, event: Mapping[str, Any]) -> Answer:
        """Send an event and wait for its answer."""
        deadline = int((time.time() + self._timeout) * 1000)
        self._server.events.put(Invocation(str(uuid.uuid4()), json.dumps(event), deadline))
        return self.answer()

    def answer(self) -> Answer:
        """Wait for the function's next answer."""
        try:
            return self._server.answers.get(timeout=HANG_SECONDS)
        except queue.Empty:
            raise AssertionError(f"no answer; its log:\n{self.log}") from None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._server.events.put(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _with_what_it_needs(name: str) -> set[str]:
    """The names of a distribution and of all that it requires here."""
    found, to_read = set[str](), {name}
    while to_read:
        one = to_read.pop()
        found.add(one)
        for requirement in distribution(one).requires or ():
            wanted, _, marker = requirement.partition(";")
            if "extra ==" not in marker:
                to_read |= {re.split(r"[^A-Za-z0-9._-]", wanted)[0]} - found
    return found


def _link(distribution_name: str, folder: Path) -> None:
    """Link a distribution's installed files into the folder."""
    here = distribution(distribution_name)
    for top in {Path(file).parts[0] for file in here.files or ()} - {"..", "__pycache__"}:
        (folder / top).symlink_to(Path(str(here.locate_file(top))))
