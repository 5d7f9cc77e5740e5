"""What the first delivery imports besides boto3: each import makes a cold start slower.

Lambda compiles each new module again at every cold start. If a delivery does not need a module,
chalicelib/wiring.py must import it only for the function that does.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.app.policies import PROJECT
from tests.app.stage import REGION, github_headers, rest_event
from tests.edges.scripted_server import Raw, Request, ScriptedServer, answer
from tests.fakes import NAMES, SECRET, SITE, STAGE, push_json, targets_text

NEEDED = {
    "app",
    "chalice",
    "chalice.app",
    "chalicelib",
    "chalicelib.answers",
    "chalicelib.core",
    "chalicelib.core.unverified",
    "chalicelib.core.gates",
    "chalicelib.core.commands",
    "chalicelib.core.decisions",
    "chalicelib.core.deployments",
    "chalicelib.core.errors",
    "chalicelib.core.fields",
    "chalicelib.core.pins",
    "chalicelib.core.refs",
    "chalicelib.core.stored",
    "chalicelib.core.targets",
    "chalicelib.core.webhook",
    "chalicelib.edges",
    "chalicelib.edges.aws",
    "chalicelib.edges.github",  # for a stage with a token
    "chalicelib.edges.github_api",
    "chalicelib.edges.journal",
    "chalicelib.edges.parameters",
    "chalicelib.edges.github_deadline",
    "chalicelib.edges.run_command",
    "chalicelib.flows",
    "chalicelib.flows.deploy",
    "chalicelib.flows.receive",
    "chalicelib.flows.verify",
    "chalicelib.settings",
    "chalicelib.wiring",
}
# Modules of the standard library that boto3 has not imported. They differ between Pythons.
PYTHONS_OWN = {"unicodedata"}
STORED = {NAMES.webhook_secret: SECRET, NAMES.targets(SITE): targets_text()}
PROGRAM = """
import json, sys, threading

import boto3

boto3.client("ssm").get_parameters(Names=["/a"], WithDecryption=True)
before, started = set(sys.modules), []
start = threading.Thread.start
threading.Thread.start = lambda thread: (started.append(thread.name), start(thread))

import app

answer = app.app(json.load(sys.stdin), None)
report = {
    "status": answer["statusCode"],
    "modules": sorted(set(sys.modules) - before),
    "threads": started,
}
print(json.dumps(report))
"""


def aws(request: Request) -> Raw:
    if request.headers["x-amz-target"].endswith(".SendCommand"):
        return answer({"Command": {"CommandId": "0831e1a8-a1ac-4257-a1fd-c831b48c4107"}})
    found = [
        {"Name": name, "Value": STORED[name]} for name in request.json["Names"] if name in STORED
    ]
    missing = [name for name in request.json["Names"] if name not in STORED]
    return answer({"Parameters": found, "InvalidParameters": missing})


@pytest.fixture(scope="module")
def report() -> dict[str, object]:
    """What a new process reports about its first delivery."""
    body = json.dumps(push_json())
    with ScriptedServer(aws) as server:
        environ = {
            "PATH": os.environ["PATH"],
            "PULLEY_STAGE": STAGE,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_ENDPOINT_URL": server.url,
        }
        printed = subprocess.check_output(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps(rest_event(github_headers(body.encode()), body)),
            cwd=PROJECT,
            env=environ,
            text=True,
        )
    report: dict[str, object] = json.loads(printed.splitlines()[-1])
    return report


class TestFirstDelivery:
    def test_delivery_is_accepted(self, report: dict[str, object]) -> None:
        assert report["status"] == 202

    def test_delivery_imports_only_the_needed_modules(self, report: dict[str, object]) -> None:
        assert isinstance(report["modules"], list)
        modules = set(report["modules"])
        own = {name for name in modules if name.partition(".")[0] in sys.stdlib_module_names}
        assert modules - own == NEEDED
        assert {name for name in own if not name.startswith("_")} <= PYTHONS_OWN

    def test_delivery_for_one_target_starts_no_thread(self, report: dict[str, object]) -> None:
        assert report["threads"] == []
