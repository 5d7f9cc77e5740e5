"""Short methods for an account's hosts, documents and commands."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pulley.sandbox.account import Account
from pulley.sandbox.run_command.agent import EmulatedHost
from pulley.sandbox.run_command.commands import EmulatedCommand
from tests.processes import HANG_SECONDS


@dataclass(frozen=True)
class Lab:
    """`folder` has the hosts' roots."""

    account: Account
    folder: Path

    def add_host(self, name: str = "web-1", **tags: str) -> EmulatedHost:
        """Add a host. The keywords are its tags."""
        tags = {"fleet": "all"} | tags
        return self.account.add_host(name, tags=tags, root=self.folder / name)

    def store(
        self,
        *lines: str | list[str],
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        timeout: str = "3600",
        name: str = "test-document",
        as_one_string: bool = False,
    ) -> None:
        """Store a document of one step, or of several if each line is a list of lines.

        `as_one_string` is the other form of `runCommand`.
        """
        scripts = lines if lines and isinstance(lines[0], list) else [list(lines)]
        content = {
            "schemaVersion": "2.2",
            "parameters": parameters or {},
            "mainSteps": [
                {
                    "action": "aws:runShellScript",
                    "name": f"step{number}",
                    "inputs": {
                        "runCommand": "\n".join(map(str, script)) if as_one_string else script,
                        "timeoutSeconds": timeout,
                    },
                }
                for number, script in enumerate(scripts, 1)
            ],
        }
        self.account.ssm.create_document(
            Name=name, Content=json.dumps(content), DocumentType="Command", DocumentFormat="JSON"
        )

    def send(self, **arguments: object) -> str:
        """Send the document, by default to every host. Gives the command's id."""
        request: dict[str, object] = {"DocumentName": "test-document", **arguments}
        if "InstanceIds" not in request:
            request.setdefault("Targets", [{"Key": "tag:fleet", "Values": ["all"]}])
        answer = self.account.ssm.send_command(**request)  # type: ignore[arg-type]
        return answer["Command"]["CommandId"]

    def run(self, **arguments: object) -> EmulatedCommand:
        """Send the document and wait until the command has ended."""
        return self.account.wait_until_ended(self.send(**arguments), timeout=HANG_SECONDS)

    def run_new(
        self,
        *lines: str | list[str],
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        timeout: str = "3600",
        **arguments: object,
    ) -> EmulatedCommand:
        """Run a new document on a new host, until the command has ended."""
        self.add_host()
        self.store(*lines, parameters=parameters, timeout=timeout)
        return self.run(**arguments)
