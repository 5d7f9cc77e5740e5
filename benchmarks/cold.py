"""A new process and its first delivery, beside a process where boto3 makes a client and one call.

The app is what `chalice package` packs, unpacked; Python has boto3 and its standard library, and
nothing else, as on Lambda. There boto3 is compiled beforehand and the zip's files are not, and
compiled files cannot be kept, because /var/task is read-only. Both hold here, too. AWS is a server
on loopback that answers at once. The app makes the three calls of a first delivery (settings, pins,
SendCommand). An empty app of Chalice with three calls shows which part of the time is Pulley's.
Lambda's runtime itself and TLS are left out.
"""

import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from benchmarks.compare import compare
from benchmarks.deliveries import SMALL, event, push
from benchmarks.figures import Figure
from benchmarks.stub import ENVIRON, STORED, Aws
from tests.deploy.project import chalice, copy_project
from tests.deploy.runtime import Python

GOAL = 1.15
MODULES_GOAL = 32  # today's: tests/app/test_imports.py has them by name
SDK_IMPORT = "import boto3"
SDK_CLIENT = f"{SDK_IMPORT}\nclient = boto3.client('ssm')\n"
SDK = f"{SDK_CLIENT}client.get_parameters(Names={list(STORED)!r}, WithDecryption=True)"
# The smallest possible app: Chalice with an empty route, and the same number of calls.
LEAST = f"""
{SDK}
for _ in range(2):
    client.get_parameters(Names={list(STORED)!r}, WithDecryption=True)
import json
from chalice.app import Chalice
app = Chalice(app_name="least")
app.route("/github", methods=["POST"], content_types=["*/*"])(lambda: {{}})
with open("../event.json") as file:
    app(json.load(file), None)
"""
APP_IMPORT = "import app"
APP = """
import app, json
with open("../event.json") as file:
    answer = app.app(json.load(file), None)
if answer["statusCode"] != 202:
    raise SystemExit(answer["body"])
"""
TELL = f"""
{SDK}
import sys
before = set(sys.modules)
{APP}
print(json.dumps(sorted(set(sys.modules) - before - sys.stdlib_module_names)))
"""


def measure(*, quick: bool) -> Iterator[Figure]:
    """Measure the whole process, its imports alone, and the number of modules."""
    with tempfile.TemporaryDirectory(prefix="pulley-bench-") as folder, _loopback() as endpoint:
        lambda_ = Lambda.build(Path(folder), endpoint)
        subjects = {
            "first delivery": partial(lambda_.run, APP),
            "an empty Chalice app": partial(lambda_.run, LEAST),
            "boto3 and a call": partial(lambda_.run, SDK),
            "boto3 and a client": partial(lambda_.run, SDK_CLIENT),
            "import app": partial(lambda_.run, APP_IMPORT),
            "import boto3": partial(lambda_.run, SDK_IMPORT),
        }
        timings = compare(subjects, rounds=3 if quick else 25)
        modules = json.loads(lambda_.run(TELL)[-1])
    detail = {f"{name}, ms": round(timings.median(name) * 1e3) for name in subjects}
    for name, to, goal in (
        ("first delivery", "boto3 and a client", GOAL),
        ("first delivery", "boto3 and a call", None),
        ("first delivery", "an empty Chalice app", None),
        ("an empty Chalice app", "boto3 and a client", None),
        ("import app", "import boto3", None),
    ):
        value, low, high = timings.ratio(name, to)
        yield Figure(
            f"cold start: time of {name} / time of {to}", value, "x", goal, low, high, detail
        )
    words = "cold start: modules besides boto3's and Python's"
    yield Figure(words, len(modules), "modules", MODULES_GOAL, detail={"modules": modules})


@dataclass(frozen=True)
class Lambda:
    """The unpacked zip, and a Python to run it."""

    task_root: Path
    python: Python
    endpoint: str

    @classmethod
    def build(cls, folder: Path, endpoint: str) -> "Lambda":
        """Unpack into a folder that exists and is empty."""
        project = copy_project(folder / "pulley")
        chalice(project, "package", "--stage", ENVIRON["PULLEY_STAGE"], "out")
        with zipfile.ZipFile(project / "out/deployment.zip") as archive:
            archive.extractall(folder / "task")
        (folder / "event.json").write_text(json.dumps(event(push(SMALL))))
        (folder / "python").mkdir()
        return cls(folder / "task", Python.build(folder / "python"), endpoint)

    def run(self, code: str) -> list[str]:
        """The lines that a new process prints."""
        environ = {
            **self.python.environ,
            **ENVIRON,
            "PYTHONPATH": str(self.python.sdk),
            "AWS_ENDPOINT_URL": self.endpoint,
        }
        printed = subprocess.check_output(
            self.python.command("-c", code), cwd=self.task_root, env=environ, text=True
        )
        return printed.splitlines()


class _Handler(BaseHTTPRequestHandler):
    """Answers as Systems Manager."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and content in one packet: the second would wait for an acknowledgement
    aws = Aws()

    def do_POST(self) -> None:
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = json.dumps(self.aws.answer(operation, arguments)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def _loopback() -> Iterator[str]:
    """The address of an AWS that answers at once."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
