"""Run Command's memory for the tests of whole events, and the hosts' results."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.commands import COMMAND_CHANGE
from tests.app.stage import REGION
from tests.fakes import Reply

DOCUMENT = "pulley-dev-pull"
HOST, OTHER_HOST = "i-0a1b2c3d4e5f60718", "i-0a1b2c3d4e5f60719"


def result_line(commit: str, **changes: object) -> str:
    """The result line of a host that is at the commit."""
    line = {
        "v": 1,
        "target": "web",
        "outcome": "updated",
        "before": "0" * 40,
        "after": commit,
        "upstream": commit,
        "local_commits": 0,
        "saved": None,
        "step": None,
        "detail": "",
        "seconds": 1.4,
    }
    return json.dumps(line | changes) + "\n"


def rolled_back(commit: str, **changes: object) -> str:
    facts: dict[str, object] = {
        "outcome": "rolled_back",
        "after": "0" * 40,
        "step": "health_check",
        "detail": "500 from http://127.0.0.1:8000/health",
    }
    return result_line(commit, **(facts | changes))


@dataclass
class Sent:
    """A command that the webhook sent, as Systems Manager has it."""

    arguments: Mapping[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"
    details: str = "InProgress"
    hosts: list[dict[str, Any]] = field(default_factory=list)
    requested: float = field(default_factory=lambda: round(time.time(), 3))

    def end(self, status: str = "Success", details: str = "") -> None:
        self.status, self.details = status, details or status

    def add_host(
        self,
        output: str = "",
        *,
        status: str = "Success",
        details: str = "",
        instance_id: str = HOST,
        name: str = "web-1.example.com",
    ) -> None:
        """Add a host with this output. A host without output was not reached."""
        step = {
            "Name": "pull",
            "Status": status,
            "ResponseStartDateTime": self.requested + 1,
            "ResponseFinishDateTime": self.requested + 3,
            "Output": output,
        }
        self.hosts.append(
            {
                "CommandId": self.id,
                "InstanceId": instance_id,
                "InstanceName": name,
                "DocumentName": DOCUMENT,
                "Status": status,
                "StatusDetails": details or status,
                "CommandPlugins": [step] if status != "InProgress" and output else [],
            }
        )

    @property
    def deployment(self) -> str:
        (id_,) = self.arguments["Parameters"]["Deployment"]
        return str(id_)

    def shown(self) -> dict[str, Any]:
        return {
            "CommandId": self.id,
            "DocumentName": self.arguments["DocumentName"],
            "Comment": self.arguments["Comment"],
            "Parameters": self.arguments["Parameters"],
            "RequestedDateTime": self.requested,
            "ExpiresAfter": self.requested + 1200,
            "Status": self.status,
            "StatusDetails": self.details,
            "TargetCount": len(self.hosts),
        }

    def event(self, **changes: object) -> dict[str, Any]:
        """AWS: "Amazon EventBridge event examples for Systems Manager", the command's."""
        detail: dict[str, object] = {
            "command-id": self.id,
            "document-name": DOCUMENT,
            "expire-after": "2030-01-14T22:01:30.049Z",
            "parameters": json.dumps(self.arguments["Parameters"]),
            "requested-date-time": "2030-01-10T21:51:30.049Z",
            "status": self.status,
        }
        instances = [f"arn:aws:ec2:{REGION}:123456789012:instance/{HOST}"] if self.hosts else []
        event = {
            "version": "0",
            "id": "51c0891d-0e34-45b1-83d6-95db273d1602",
            "detail-type": COMMAND_CHANGE,
            "source": "aws.ssm",
            "account": "123456789012",
            "time": "2030-01-10T21:51:32Z",
            "region": REGION,
            "resources": instances,
            "detail": detail,
        }
        detail |= {name: value for name, value in changes.items() if name not in event}
        return event | {name: value for name, value in changes.items() if name in event}


class RunCommand:
    """Systems Manager's memory, at the other end of the wire. The rest is moto's.

    It also accepts the asynchronous call of a function, because moto would start a container.
    """

    def __init__(self) -> None:
        self.commands: list[Sent] = []
        self.online: list[str] = []
        self.fault: dict[str, Reply] = {}

    def reply(self, operation: str, arguments: Mapping[str, Any]) -> Reply:
        fixed: dict[str, Reply] = {"Invoke": (202, {})} | self.fault
        if operation in fixed:
            return fixed[operation]
        if operation == "SendCommand":
            self.commands.insert(0, Sent(arguments))
            return 200, {"Command": self.commands[0].shown()}
        if operation == "DescribeInstanceInformation":
            nodes = [{"InstanceId": one, "PingStatus": "Online"} for one in self.online]
            return 200, {"InstanceInformationList": nodes}
        chosen = [one for one in self.commands if arguments.get("CommandId", one.id) == one.id]
        if operation == "ListCommands":
            return 200, {"Commands": [one.shown() for one in chosen]}
        if operation == "ListCommandInvocations":
            return 200, {"CommandInvocations": [host for one in chosen for host in one.hosts]}
        return None
