"""An AWS account on loopback that answers what a page's view reads, for a fleet of any size.

Every target is at rest: its hosts reported the wanted commit to its newest command. Each answer
takes `delay` seconds. It counts the calls, and how many were under way at once.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import boto3

from chalicelib.core.commands import document_name
from chalicelib.core.refs import Repository
from chalicelib.edges.command_history import CommandHistory
from chalicelib.edges.command_output import CommandOutput
from chalicelib.edges.hosts import HostDirectory
from chalicelib.edges.round_parameters import RoundParameters
from chalicelib.page.reading import Source
from chalicelib.status.state import Surroundings
from tests.fakes import COMMIT, NAMES, STAGE, FakeJournal, target_json

A_REPOSITORY = 5  # targets
COMMANDS = 3  # of each target
REGION = "eu-west-1"
NOWHERE = "http://127.0.0.1:9"


class Fleet:
    """The account. `calls` are counted by operation; `at_once` is the most at the same time."""

    def __init__(self, targets: int, hosts: int, *, delay: float = 0.0) -> None:
        self.delay = delay
        self.github_api = NOWHERE
        self.calls: Counter[str] = Counter()
        self.at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._began = datetime.now(UTC) - timedelta(hours=1)
        self.names = [f"web-{number}" for number in range(targets)]
        self._hosts = {
            name: [f"i-{at * 10_000 + number:017x}" for number in range(hosts)]
            for at, name in enumerate(self.names)
        }
        self.parameters = self._stored()

    @contextmanager
    def source(self) -> Iterator[Source]:
        """Where a page reads this account. No repository has a token."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        session = boto3.Session("testing", "testing", region_name=REGION)
        endpoint = f"http://127.0.0.1:{server.server_port}"
        ssm = session.client("ssm", endpoint_url=endpoint)
        ec2 = session.client("ec2", endpoint_url=endpoint)
        try:
            yield Source(
                surroundings=Surroundings(STAGE, REGION),
                stored=RoundParameters(ssm, STAGE),
                directory=HostDirectory(ec2, ssm, STAGE),
                history=CommandHistory(ssm, document_name(STAGE)),
                outputs=CommandOutput(ssm),
                github_api=self.github_api,
                journal=FakeJournal(),
            )
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, operation: str, body: Mapping[str, Any]) -> Mapping[str, Any] | str:
        """The answer to a call: JSON, or EC2's XML."""
        with self._lock:
            self.calls[operation] += 1
            self._now += 1
            self.at_once = max(self.at_once, self._now)
        time.sleep(self.delay)
        with self._lock:
            self._now -= 1
        made: Mapping[str, Any] | str = getattr(self, f"_{operation}")(body)
        return made

    def _stored(self) -> dict[str, str]:
        stored = {}
        for start in range(0, len(self.names), A_REPOSITORY):
            repository = Repository("octo", f"site-{start}")
            targets = [
                target_json(name, repository=str(repository), instances={"tags": {"role": name}})
                for name in self.names[start : start + A_REPOSITORY]
            ]
            stored[NAMES.targets(repository)] = json.dumps(targets)
        return stored

    def _DescribeParameters(self, body: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return _page(body, "Parameters", [{"Name": one} for one in sorted(self.parameters)])

    def _GetParameters(self, body: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        there = [one for one in body["Names"] if one in self.parameters]
        return {
            "Parameters": [
                {"Name": one, "Value": self.parameters[one], "Version": 1} for one in there
            ],
            "InvalidParameters": [one for one in body["Names"] if one not in there],
        }

    def _ListCommands(self, body: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        shown = [self._command(name, number) for number in range(COMMANDS) for name in self.names]
        return _page(body, "Commands", shown)

    def _command(self, name: str, number: int) -> Mapping[str, Any]:
        at = self._began - timedelta(days=number)
        start = self.names.index(name) // A_REPOSITORY * A_REPOSITORY
        parameters = {
            "Repository": f"octo/site-{start}",
            "Target": name,
            "Branch": "main",
            "Commit": _commit(number),
            "Checkout": "/srv/site",
            "Cause": "push",
            "Issued": str(int(at.timestamp() * 1000)),
            "Attempt": "0",
            "PushedAt": "",
            "By": "mona",
        }
        return {
            "CommandId": f"{self.names.index(name):08d}-0000-4000-8000-{number:012d}",
            "DocumentName": document_name(STAGE),
            "Parameters": {key: [value] for key, value in parameters.items()},
            "RequestedDateTime": at.timestamp(),
            "ExpiresAfter": (at + timedelta(minutes=20)).timestamp(),
            "Status": "Success",
            "StatusDetails": "Success",
            "TargetCount": len(self._hosts[name]),
            "Targets": [
                {"Key": "tag:pulley", "Values": [STAGE]},
                {"Key": "tag:role", "Values": [name]},
            ],
        }

    def _ListCommandInvocations(self, body: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        name, number = self.names[int(body["CommandId"][:8])], int(body["CommandId"][-12:])
        line = {
            "v": 1,
            "target": name,
            "outcome": "updated",
            "before": "0" * 40,
            "after": _commit(number),
            "upstream": _commit(number),
            "local_commits": 0,
            "saved": None,
            "step": None,
            "detail": "",
            "seconds": 1.4,
        }
        ended = (self._began - timedelta(days=number) + timedelta(seconds=3)).timestamp()
        step = {"Name": "pull", "Status": "Success", "ResponseFinishDateTime": ended}
        shown = [
            {
                "CommandId": body["CommandId"],
                "InstanceId": one,
                "InstanceName": one,
                "Status": "Success",
                "StatusDetails": "Success",
                "CommandPlugins": [{**step, "Output": json.dumps(line)}],
            }
            for one in self._hosts[name]
        ]
        return _page(body, "CommandInvocations", shown)

    def _DescribeInstanceInformation(self, body: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        every = [one for hosts in self._hosts.values() for one in hosts]
        shown = [{"InstanceId": one, "PingStatus": "Online"} for one in every]
        return _page(body, "InstanceInformationList", shown)

    def _DescribeInstances(self, body: Mapping[str, Any]) -> str:  # noqa: N802
        every = [(name, one) for name, hosts in self._hosts.items() for one in hosts]
        start, size = int(body.get("NextToken", 0)), int(body["MaxResults"])
        rows = "".join(
            f"<item><instancesSet><item><instanceId>{one}</instanceId><instanceState><name>running"
            f"</name></instanceState><tagSet><item><key>pulley</key><value>{STAGE}</value></item>"
            f"<item><key>role</key><value>{name}</value></item></tagSet></item></instancesSet>"
            "</item>"
            for name, one in every[start : start + size]
        )
        is_more = start + size < len(every)
        token = f"<nextToken>{start + size}</nextToken>" if is_more else ""
        return (
            '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            f"<reservationSet>{rows}</reservationSet>{token}</DescribeInstancesResponse>"
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                wanted = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                body: Any
                if wanted:
                    body = json.loads(text)
                else:
                    body = {name: values[0] for name, values in parse_qs(text).items()}
                    wanted = body["Action"]
                made = answer(wanted, body)
                sent = (made if isinstance(made, str) else json.dumps(made)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


def _commit(number: int) -> str:
    """The commit of a target's newest command (0), or of an older one."""
    return f"{number:040x}" if number else COMMIT


def _page(body: Mapping[str, Any], name: str, rows: list[Any]) -> Mapping[str, Any]:
    start, size = int(body.get("NextToken") or 0), int(body.get("MaxResults", 50))
    answer = {name: rows[start : start + size]}
    return answer | ({"NextToken": str(start + size)} if start + size < len(rows) else {})
