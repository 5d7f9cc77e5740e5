"""The stage dev in an AWS account of its own, and its functions as Lambda calls them.

Every test checks the answers and the log: they contain no secret, token, signature or payload, and
the function makes no call that its role forbids.
"""

import base64
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import app
from chalicelib import wiring
from tests.app.policies import is_call_allowed
from tests.fakes import GUID, SECRET, STAGE, Wire, push_json, sign

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

REGION = "eu-central-1"
URL = f"https://ssm.{REGION}.amazonaws.com/"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TOKEN = "github_pat_for-the-tests-alone"
IN_PAYLOADS_ONLY = "what mona says of her commit"
# CloudWatch User Guide, "Specification: Embedded metric format", and the API's MetricDatum.
UNITS = {"Count", "Seconds"}


def rest_event(
    headers: Mapping[str, str], body: str | None, *, is_base64: bool = False
) -> dict[str, Any]:
    """A proxy event as API Gateway (REST) sends it. AWS: "Input format of a Lambda function"."""
    headers = {
        "Accept": "*/*",
        "CloudFront-Viewer-Country": "US",
        "Host": "abcdef1234.execute-api.eu-central-1.amazonaws.com",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-Amzn-Trace-Id": "Root=1-5e66d96f-7491f09xmpl79d18acf3d050",
        "X-Forwarded-For": "140.82.115.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        "X-GitHub-Hook-ID": "292430182",
        **headers,
    }
    return {
        "resource": "/github",
        "path": "/github",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "2gxmpl",
            "resourcePath": "/github",
            "httpMethod": "POST",
            "extendedRequestId": "JJbxmplHYosFVYQ=",
            "requestTime": "10/Mar/2030:00:03:59 +0000",
            "path": "/dev/github",
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "dev",
            "domainPrefix": "abcdef1234",
            "requestTimeEpoch": 1899331439617,
            "requestId": "77375676-xmpl-4b79-853a-f982474efe18",
            "identity": {"sourceIp": "140.82.115.1", "userAgent": "GitHub-Hookshot/044aadd"},
            "domainName": "abcdef1234.execute-api.eu-central-1.amazonaws.com",
            "apiId": "abcdef1234",
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


def get_event(
    path: str, *, cookie: str = "", query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A proxy event of a browser's GET, for a route that has no parameters in its path."""
    event = rest_event({"Cookie": cookie} if cookie else {}, None)
    values = {name: [value] for name, value in (query or {}).items()}
    resource = "/badge/{file}" if path.startswith("/badge/") else path
    return event | {
        "resource": resource,
        "path": path,
        "httpMethod": "GET",
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": values or None,
        "pathParameters": {"file": path.rpartition("/")[2]} if resource != path else None,
        "requestContext": event["requestContext"]
        | {"resourcePath": resource, "httpMethod": "GET", "path": f"/dev{path}"},
    }


def github_headers(body: bytes, *, event: str = "push", secret: str = SECRET) -> dict[str, str]:
    return {
        "Content-Type": JSON,
        "X-GitHub-Delivery": GUID,
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": sign(body, secret),
    }


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


class Log:
    """What the functions print, which is what CloudWatch Logs has."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def __str__(self) -> str:
        printed = self._capsys.readouterr()
        self._text += printed.out + printed.err
        return self._text

    def lines(self, about: str = "") -> list[dict[str, Any]]:
        """Each line's object, or only those about one subject."""
        lines = [json.loads(line) for line in str(self).splitlines()]
        return [line for line in lines if about in ("", line["about"])]

    def words(self) -> str:
        """The reasons of all lines, decoded from JSON."""
        return "\n".join(str(line.get("reason", "")) for line in self.lines())


@dataclass
class Stage:
    """The stage dev in an AWS account of its own, with one secret and the target web."""

    ssm: "SSMClient"
    wire: Wire
    log: Log
    secrets: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    def store(self, name: str, value: object) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        is_secret = name.endswith(("secret", "token", "-key"))
        if is_secret:
            self.secrets += filter(None, map(str.strip, text.splitlines()))
        self.ssm.put_parameter(
            Name=name, Value=text, Type="SecureString" if is_secret else "String", Overwrite=True
        )

    def remove(self, name: str) -> None:
        self.ssm.delete_parameter(Name=name)

    def call(self, event: Mapping[str, Any]) -> Answer:
        """The webhook's answer. Checks that it contains nothing secret."""
        with self._watched("api_handler"):
            answer = app.app(event, SimpleNamespace())
        assert answer["headers"] == {"Content-Type": JSON}
        text = answer["body"]
        for secret in (*self.secrets, *self.signatures, "/pulley/", "Traceback"):
            assert secret not in text
        assert len(text) < 2000
        return Answer(answer["statusCode"], json.loads(text))

    def get(self, path: str, *, cookie: str = "", **query: str) -> Mapping[str, Any]:
        """The function's answer to a browser, as API Gateway gets it."""
        with self._watched("api_handler"):
            answer: Mapping[str, Any] = app.app(
                get_event(path, cookie=cookie, query=query), SimpleNamespace()
            )
        for secret in (*self.secrets, *self.signatures, "Traceback"):
            assert secret not in answer["body"]
        return answer

    def report(self, event: Mapping[str, Any]) -> dict[str, str]:
        """What the reporter returns. Raises what it raises."""
        with self._watched("report_status_change"):
            outcome: dict[str, str] = app.report_status_change(event, SimpleNamespace())
        return outcome

    def reconcile(
        self, event: Mapping[str, Any], milliseconds: Iterable[int] = repeat(900_000)
    ) -> dict[str, object]:
        """What a round returns that has these milliseconds left. Raises what it raises."""
        left = iter(milliseconds)
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: next(left))
        with self._watched("reconcile_targets"):
            outcome: dict[str, object] = app.reconcile_targets(event, context)
        return outcome

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        for secret in self.secrets:
            self.signatures += [sign(body, secret).partition("=")[2]]
            self.signatures += [sign(body, secret, "sha1").partition("=")[2]]
        try:
            return self.call(rest_event(headers, body.decode()))
        except UnicodeDecodeError:
            text = base64.b64encode(body).decode()
            return self.call(rest_event(headers, text, is_base64=True))

    def deliver(self, payload: object, *, event: str = "push", secret: str = SECRET) -> Answer:
        """Send a signed delivery. A payload of bytes is the body itself."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.post(body, github_headers(body, event=event, secret=secret))

    def push(self, **changes: object) -> Answer:
        return self.deliver(push_json(commits=[{"message": IN_PAYLOADS_ONLY}], **changes))

    def commands(self) -> list[Mapping[str, Any]]:
        return list(self.ssm.list_commands()["Commands"])

    def sent_to(self) -> list[str]:
        return sorted(command["Parameters"]["Target"][0] for command in self.commands())

    def check_log(self) -> None:
        """Check every log line: no secrets, the required fields, valid metrics."""
        text = str(self.log)
        for secret in (*self.secrets, *self.signatures, IN_PAYLOADS_ONLY, "pusher"):
            assert secret not in text
            assert json.dumps(secret)[1:-1] not in text
        for line in self.log.lines():
            assert {"about", "outcome", "level", "stage"} <= line.keys()
            assert line["stage"] == STAGE
            if "_aws" in line:
                check_metrics(line)

    @contextmanager
    def _watched(self, function: str) -> Iterator[None]:
        """Check that the function's role allows each of its calls to AWS."""
        before = len(self.wire.attempts)
        try:
            yield
        finally:
            for operation, arguments in self.wire.attempts[before:]:
                assert is_call_allowed(function, STAGE, operation, arguments), (operation, function)


def forget_warm_clients() -> None:
    """Start again as in a process that Lambda has just started."""
    wiring._receiver.cache_clear()
    wiring._reporter.cache_clear()
    wiring._reconciler.cache_clear()
    wiring._waker.cache_clear()
    wiring._hosted_page.cache_clear()


def check_metrics(line: Mapping[str, Any]) -> None:
    """Check that CloudWatch can make metrics of the line."""
    assert set(line["_aws"]) == {"Timestamp", "CloudWatchMetrics"}
    assert type(line["_aws"]["Timestamp"]) is int
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 3600
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Pulley"
    for name in (name for names in directive["Dimensions"] for name in names):
        assert isinstance(line[name], str)
        assert 0 < len(line[name]) <= 250
    for metric in directive["Metrics"]:
        assert metric["Unit"] in UNITS
        assert type(line[metric["Name"]]) in {int, float}
