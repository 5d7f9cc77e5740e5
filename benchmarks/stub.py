"""The app in a warm process, and an AWS that answers at once.

Either boto3's client is real, and its requests are answered where they would leave (botocore's
`before-send`). Then the time includes boto3's work to write, sign and read them. Or a stand-in
replaces the client. Then the time is that of Pulley's own code and of Chalice.
"""
# ruff: noqa: E402, SLF001 - app.py reads its stage on import, and has state of a process

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

ENVIRON = {
    "PULLEY_STAGE": "dev",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
for _name in [name for name in os.environ if name.startswith(("AWS_", "PULLEY_"))]:
    del os.environ[_name]  # the caller's shell may have a stage of its own
os.environ |= ENVIRON

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

import app
from benchmarks.deliveries import REPOSITORY, SECRET
from chalicelib import wiring
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from chalicelib.edges.aws import Deadline, build_ssm_client
from chalicelib.edges.parameters import KnownRepositories, ParameterStore

_NAMES = ParameterNames(ENVIRON["PULLEY_STAGE"])
TARGET = {
    "name": "web",
    "repository": REPOSITORY,
    "branch": "main",
    "instances": {"tags": {"role": "web"}},
    "checkout": "/srv/site",
}
# No token, because calls to GitHub are not measured.
STORED = {
    _NAMES.webhook_secret: SECRET,
    _NAMES.targets(Repository.parse(REPOSITORY)): json.dumps([TARGET]),
}


class Aws:
    """Answers as Systems Manager, with stored parameters, and counts its calls."""

    def __init__(self, stored: Mapping[str, str] = STORED) -> None:
        self.stored = stored
        self.calls: Counter[str] = Counter()

    def answer(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to an operation."""
        self.calls[operation] += 1
        if operation == "SendCommand":
            command = {"CommandId": "0831e1a8-a1ac-4257-a1fd-c831b48c4107", "Status": "Pending"}
            return {"Command": command | {"DocumentName": arguments["DocumentName"]}}
        if operation == "DescribeParameters":
            names = [name for name in self.stored if name.endswith("/targets")]
            return {"Parameters": [{"Name": name, "Type": "String"} for name in names]}
        if operation != "GetParameters":
            raise AssertionError(f"a delivery makes no {operation}")
        names = arguments["Names"]
        found = [
            {"Name": name, "Type": "String", "Value": self.stored[name], "Version": 1}
            for name in names
            if name in self.stored
        ]
        return {
            "Parameters": found,
            "InvalidParameters": [name for name in names if name not in self.stored],
        }

    def __call__(self, request: AWSPreparedRequest, event_name: str, **_: object) -> AWSResponse:
        """Answer a request, as a handler of `before-send`."""
        body = request.body if isinstance(request.body, bytes) else b"{}"
        answer = self.answer(event_name.rpartition(".")[2], json.loads(body))
        return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(json.dumps(answer).encode()))

    def sdk(self, deadline: Deadline | None = None) -> Any:  # noqa: ANN401 - boto3 makes it
        """The app's own client of boto3."""
        client = build_ssm_client(deadline)
        client.meta.events.register("before-send.ssm", self)  # type: ignore[arg-type] # a handler may answer
        return client

    def port(self, _deadline: Deadline | None = None) -> "Port":
        """A stand-in for the client."""
        return Port(self)


class Port:
    """A stand-in for boto3's client, which only answers."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def get_parameters(self, **arguments: object) -> dict[str, Any]:
        """As boto3 has it."""
        return self._aws.answer("GetParameters", arguments)

    def get_paginator(self, _operation: str) -> "_Pages":
        """Like boto3's, for the only list that is used."""
        return _Pages(self._aws)

    def send_command(self, **arguments: object) -> dict[str, Any]:
        """As boto3 has it."""
        return self._aws.answer("SendCommand", arguments)


class _Pages:
    """A paginator of DescribeParameters."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def paginate(self, **arguments: object) -> list[dict[str, Any]]:
        """One page."""
        return [self._aws.answer("DescribeParameters", arguments)]


class App:
    """The module app.py with its state as in a warm process; a process may have several."""

    def __init__(
        self,
        client: Callable[[Deadline], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`client` is Aws's `sdk` or `port`; `clock` (seconds) is for the budgets."""
        edges: dict[str, Any] = {
            one.__name__: partial(one, clock=clock) for one in (ParameterStore, KnownRepositories)
        }
        with mock.patch.multiple(wiring, build_ssm_client=client, **edges):
            built = wiring._receiver.__wrapped__()
        self._receiver = lambda: built

    def __call__(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer, as Lambda gives it to API Gateway."""
        before = wiring._receiver
        wiring._receiver = self._receiver  # type: ignore[assignment] # a cached function
        try:
            return app.app(event, None)
        finally:
            wiring._receiver = before


@contextmanager
def without_log() -> Iterator[None]:
    """The log is formatted and written, but not kept."""
    with Path(os.devnull).open("w") as null, redirect_stdout(null):
        yield


class _Raw:
    """A raw answer, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_how: object) -> Iterator[bytes]:
        yield self._content
