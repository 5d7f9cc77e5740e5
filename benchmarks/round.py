# ruff: noqa: D102, T201 - it prints its results
"""How many calls to AWS one round makes, as a stage grows to 10,000 hosts.

The flow, the edges and boto3's clients are real; their requests are answered here before they
leave. Every target has twenty hosts, all at the wanted commit, and one command. The seconds are the
round's own time, JSON and XML included, with an AWS that answers at once.

    .venv/bin/python -m benchmarks.round
"""

import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from chalicelib import wiring
from chalicelib.core.commands import document_name

STAGE, COMMIT = "dev", "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"
HOSTS_A_TARGET = 20
SIZES = (1000, 2500, 5000, 10_000)  # hosts
PREFIX = f"/pulley/{STAGE}/repositories/"


class Aws:
    """Answers requests, page by page, and counts them by operation."""

    def __init__(self, hosts: int) -> None:
        self.calls: Counter[str] = Counter()
        self.targets = [f"web-{number}" for number in range(hosts // HOSTS_A_TARGET)]
        self.ids = [f"i-{number:017x}" for number in range(hosts)]
        self.now = time.time()

    def __call__(self, request: AWSPreparedRequest, event_name: str, **_: object) -> AWSResponse:
        operation = event_name.rpartition(".")[2]
        self.calls[operation] += 1
        text = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        if operation == "DescribeInstances":
            content = self.instances({name: one[0] for name, one in parse_qs(text).items()})
        else:
            content = json.dumps(getattr(self, operation)(json.loads(text))).encode()
        return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(content))

    def page(self, rows: Sequence[Any], token: str | None, size: int, name: str) -> dict[str, Any]:
        start = int(token or 0)
        more = {"NextToken": str(start + size)} if start + size < len(rows) else {}
        return {name: rows[start : start + size], **more}

    def DescribeParameters(self, body: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's name
        rows = [{"Name": f"{PREFIX}octo/{name}/targets"} for name in self.targets]
        return self.page(rows, body.get("NextToken"), 50, "Parameters")

    def GetParameters(self, body: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        found = []
        for name in body["Names"]:
            if not name.endswith("/targets"):
                continue
            repository = name.removeprefix(PREFIX).removesuffix("/targets")
            target = {
                "name": repository.rpartition("/")[2],
                "repository": repository,
                "branch": "main",
                "instances": {"tags": {"role": repository.rpartition("/")[2]}},
                "checkout": "/srv/site",
            }
            found.append({"Name": name, "Type": "String", "Value": json.dumps([target])})
        missing = [name for name in body["Names"] if not name.endswith("/targets")]
        return {"Parameters": found, "InvalidParameters": missing}

    def DescribeInstanceInformation(self, body: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        rows = [{"InstanceId": id_, "PingStatus": "Online"} for id_ in self.ids]
        return self.page(rows, body.get("NextToken"), 50, "InstanceInformationList")

    def ListCommands(self, body: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        rows = [self.command(number) for number in range(len(self.targets))]
        return self.page(rows, body.get("NextToken"), 50, "Commands")

    def ListCommandInvocations(self, body: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        number = int(body["CommandId"].rpartition("-")[2])
        line = {"v": 1, "target": self.targets[number], "outcome": "unchanged", "before": COMMIT}
        line |= {"after": COMMIT, "upstream": COMMIT, "local_commits": 0, "saved": None}
        output = json.dumps(line | {"step": None, "detail": "", "seconds": 1})
        step = {"Output": output, "ResponseFinishDateTime": self.now}
        of_target = self.ids[number * HOSTS_A_TARGET : (number + 1) * HOSTS_A_TARGET]
        rows = [
            {
                "CommandId": body["CommandId"],
                "InstanceId": id_,
                "Status": "Success",
                "StatusDetails": "Success",
                "CommandPlugins": [step],
            }
            for id_ in of_target
        ]
        return self.page(rows, body.get("NextToken"), 50, "CommandInvocations")

    def command(self, number: int) -> dict[str, Any]:
        name = self.targets[number]
        parameters = {"Target": name, "Repository": f"octo/{name}", "Commit": COMMIT}
        parameters |= {"Update": "rebase", "Issued": "1", "Cause": "push"}
        return {
            "CommandId": f"0831e1a8-a1ac-4257-a1fd-{number:012d}",
            "DocumentName": document_name(STAGE),
            "Status": "Success",
            "StatusDetails": "Success",
            "RequestedDateTime": self.now - 7200,
            "ExpiresAfter": self.now - 3600,
            "TargetCount": HOSTS_A_TARGET,
            "Parameters": {key: [value] for key, value in parameters.items()},
        }

    def instances(self, query: Mapping[str, str]) -> bytes:
        size, start = int(query["MaxResults"]), int(query.get("NextToken", 0))
        items = "".join(
            f"<item><instancesSet><item><instanceId>{id_}</instanceId><instanceState><name>running"
            f"</name></instanceState><tagSet><item><key>pulley</key><value>{STAGE}</value></item>"
            f"<item><key>role</key><value>{self.targets[place // HOSTS_A_TARGET]}</value></item>"
            "</tagSet></item></instancesSet></item>"
            for place, id_ in list(enumerate(self.ids))[start : start + size]
        )
        more = f"<nextToken>{start + size}</nextToken>" if start + size < len(self.ids) else ""
        return f"<R><reservationSet>{items}</reservationSet>{more}</R>".encode()


class _Raw:
    """A raw answer, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_how: object) -> Iterator[bytes]:
        yield self._content


def main() -> None:
    """Print a line for each size."""
    os.environ |= {
        "PULLEY_STAGE": STAGE,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    print(f"{datetime.now(UTC):%Y-%m-%d}, {HOSTS_A_TARGET} hosts a target, all at rest")
    print(f"{'hosts':>7} {'calls':>6} {'a thousand hosts':>17} {'own seconds':>12}  by operation")
    for hosts in SIZES:
        aws = Aws(hosts)
        wiring._reconciler.cache_clear()  # noqa: SLF001 - like a new process
        reconciler = wiring._reconciler()  # noqa: SLF001
        for service, client in (
            ("ssm", reconciler.reader.history._client),  # type: ignore[attr-defined]  # noqa: SLF001 - the client to be answered
            ("ec2", reconciler.reader.directory._ec2),  # type: ignore[attr-defined]  # noqa: SLF001 - the same
        ):
            client.meta.events.register(f"before-send.{service}", aws)
        began = time.perf_counter()
        with redirect_stdout(io.StringIO()):  # the round's log
            done = reconciler.reconcile(seconds_left=lambda: float("inf"))
        seconds = time.perf_counter() - began
        if (done.hosts, done.sent, done.failed) != (hosts, 0, 0):
            raise SystemExit(f"the round was not at rest: {done}")
        total = aws.calls.total()
        print(
            f"{hosts:7} {total:6} {total / hosts * 1000:17.1f} {seconds:12.2f}  "
            + ", ".join(f"{name} {count}" for name, count in aws.calls.most_common())
        )


if __name__ == "__main__":
    main()
