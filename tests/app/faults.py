"""Records every call of a function to AWS and GitHub, and makes one of them fail."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast
from urllib.parse import parse_qs

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError
from botocore.session import Session
from moto.core.models import botocore_stubber

from pulley.sandbox.github.server import Fault, GitHubServer
from tests.fakes import NAMES, RawBody, Reply, aws_error

PAGE = b"<html>A proxy's page, where an answer was expected</html>"
NO_PERMISSION = b'{"message": "Resource not accessible by personal access token"}'


class Kind(Enum):
    """How a call fails."""

    THROTTLED = "throttled"
    SILENT = "silent"
    GARBAGE = "garbage"
    REFUSED = "refused"
    LOST = "lost"


GITHUB: Mapping[Kind, Fault] = {
    Kind.THROTTLED: Fault(429, headers={"Retry-After": "60"}),
    Kind.SILENT: Fault(silent_seconds=30),
    Kind.GARBAGE: Fault(200, PAGE),
    Kind.REFUSED: Fault(403, NO_PERMISSION),
    Kind.LOST: Fault(502, applied_first=True),
}


def aws_reply(kind: Kind) -> Reply:
    """How AWS answers a call that fails in this way."""
    match kind:
        case Kind.THROTTLED:
            return aws_error("ThrottlingException")
        case Kind.GARBAGE:
            return 200, PAGE
        case Kind.REFUSED:
            return aws_error("AccessDeniedException")
        case _:
            return ReadTimeoutError(endpoint_url="https://aws.example.com")


@dataclass
class Faults:
    """`calls` lists the calls in order. If `call` is set, that call fails as `kind` says.

    It fails each time, or only the first time if `is_brief`.
    """

    reply: Callable[[str, Mapping[str, Any]], Reply]
    github: GitHubServer
    call: str = ""
    kind: Kind = Kind.THROTTLED
    is_brief: bool = False
    calls: list[str] = field(default_factory=list)
    failed: int = 0
    _is_answer_lost: bool = False

    def attach(self, session: Session) -> None:
        """Attach to the session's later clients. The wire calls `of_ssm` for Systems Manager."""
        for service in ("ec2", "sns"):
            session.register(f"before-send.{service}", cast("Any", self._others))
        session.get_component("event_emitter").register_last("before-send", self._after)
        self.github.fault = self._of_github

    def detach(self, session: Session) -> None:
        """Leave no trace in a session that others use."""
        for service in ("ec2", "sns"):
            session.unregister(f"before-send.{service}", cast("Any", self._others))
        session.unregister("before-send", cast("Any", self._after))

    def of_ssm(self, operation: str, arguments: Mapping[str, Any]) -> Reply:
        """The answer of Systems Manager."""
        name = operation
        if operation == "GetParameters":
            name += f" {_what_is_read(arguments['Names'])}"
        if operation == "ListCommands":
            name += " of one" if "CommandId" in arguments else " of the stage"
        reply = self._aws(name)
        reply = self.reply(operation, arguments) if reply is None else reply
        self._keep_from_moto(reply)
        return reply

    def _others(
        self, request: AWSPreparedRequest, event_name: str, **_event: object
    ) -> AWSResponse | None:
        reply = self._aws(event_name.rpartition(".")[2])
        self._keep_from_moto(reply)
        if reply is None:
            return None
        if isinstance(reply, Exception):
            raise reply
        status, answer = reply
        code = answer.get("__type", "") if isinstance(answer, Mapping) else ""
        xml = f"<E><Errors><Error><Code>{code}</Code></Error></Errors></E>".encode()
        body = answer if isinstance(answer, bytes) else xml
        return AWSResponse(request.url, status, HTTPHeaders(), RawBody(body))

    def _aws(self, name: str) -> Reply:
        """The failing answer, or None for the true answer, which `_after` may lose."""
        if not self._fails(name):
            return None
        if self.kind is Kind.LOST:
            self._is_answer_lost = True
            return None
        return aws_reply(self.kind)

    def _keep_from_moto(self, reply: Reply) -> None:
        """Switch moto off if there is an answer, because moto would carry out the call anyway."""
        botocore_stubber.enabled = reply is None or isinstance(reply, Exception)

    def _after(self, **_event: object) -> None:
        """The last handler: moto has carried out the call."""
        botocore_stubber.enabled = True
        if self._is_answer_lost:
            self._is_answer_lost = False
            raise ReadTimeoutError(endpoint_url="https://aws.example.com")

    def _of_github(self, method: str, path: str) -> Fault | None:
        path = re.sub(r"/\d+", "/ID", path.removeprefix("/repos/octo/site"))
        name = f"{method} {path}"
        if name == "GET /deployments" and "sha" in parse_qs(self.github.requests[-1].query):
            name += " of a commit"
        return GITHUB[self.kind] if self._fails(name) else None

    def _fails(self, name: str) -> bool:
        self.calls.append(name)
        if name != self.call or (self.is_brief and self.failed):
            return False
        self.failed += 1
        return True


def _what_is_read(names: list[str]) -> str:
    if NAMES.webhook_secret in names:
        return "settings"
    if NAMES.document in names:
        return "pins"
    return "cursor" if NAMES.reconcile in names else "token and targets"
