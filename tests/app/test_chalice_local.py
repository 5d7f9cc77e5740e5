"""The app over real HTTP: a `chalice local` process, and an AWS on loopback behind it."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.fakes import COMMIT, GUID, NAMES, SECRET, SITE, STAGE, push_json, sign, targets_text
from tests.processes import DIE_WITH_US, HANG_SECONDS

PROJECT = Path(__file__).parents[2]
# The server ends when its input closes, which also happens when the tests are killed.
SERVER = """\
import os, sys, threading
threading.Thread(target=lambda: os._exit(sys.stdin.read() != ""), daemon=True).start()
from chalice.cli import main
main()
"""
LOOPBACK = "127.0.0.1"
OUTCOMES = {"accepted", "refused"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """Start an AWS with the stage's parameters. Gives the environment that points to it."""
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    ssm = boto3.client(
        "ssm",
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    ssm.put_parameter(Name=NAMES.webhook_secret, Value=SECRET, Type="SecureString")
    ssm.put_parameter(Name=NAMES.targets(SITE), Value=targets_text(), Type="String")
    yield {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    ssm.close()
    server.stop()


@pytest.fixture(scope="module")
def port(aws: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server of the stage dev."""
    port, log = free_port(), tmp_path_factory.mktemp("chalice") / "log"
    command = [sys.executable, "-c", SERVER, "local", "--no-autoreload", f"--port={port}"]
    environment = {name: value for name, value in os.environ.items() if "PULLEY" not in name}
    with (
        log.open("w") as output,
        subprocess.Popen(
            [*DIE_WITH_US, *command],
            cwd=PROJECT,
            env=environment | aws | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        while not is_open(port):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield port
        assert process.poll() is None, log.read_text()
        process.communicate()
    assert SECRET not in log.read_text()
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert {line["stage"] for line in lines} == {STAGE}
    assert {line["outcome"] for line in lines if line["about"] == "delivery"} <= OUTCOMES


def post(port: int, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=HANG_SECONDS)
    try:
        connection.request("POST", "/github", body, {"X-GitHub-Delivery": GUID} | headers)
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "application/json"
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def signed(body: bytes, *, secret: str = SECRET) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": sign(body, secret),
    }


class TestChaliceLocal:
    BODY = json.dumps(push_json()).encode()

    def test_signed_push_is_accepted(self, port: int) -> None:
        status, answer = post(port, self.BODY, signed(self.BODY))
        assert status == 202
        assert (answer["delivery"], answer["commit"]) == (GUID, COMMIT)
        assert isinstance(answer["deployments"], list)
        assert [deployment["target"] for deployment in answer["deployments"]] == ["web"]

    def test_forged_push_is_refused_with_401(self, port: int) -> None:
        status, answer = post(port, self.BODY, signed(self.BODY, secret="guessed"))
        assert status == 401
        assert set(answer) == {"error"}

    def test_other_content_type_is_refused_with_pulley_s_message(self, port: int) -> None:
        status, answer = post(port, self.BODY, signed(self.BODY) | {"Content-Type": "text/plain"})
        assert status == 415
        assert str(answer["error"]).startswith("the content type must be ")
