"""In-memory stand-ins for the flows' ports, and the deliveries that GitHub would sign.

tests/edges runs one suite against these and the real edges, so that they promise the same.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.hooks import BaseEventHooks
from botocore.session import Session

from chalicelib.core.commands import SendRequest
from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames, StoredPins, StoredSettings, read_secrets
from chalicelib.core.webhook import Delivery

STAGE = "dev"
COMMIT = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
SECRET = "It's a Secret to Everybody"
NAMES = ParameterNames(STAGE)
SITE = Repository("octo", "site")


def target_json(name: object = "web", **changes: object) -> dict[str, object]:
    """A stored target with what is required, and the changes."""
    return {
        "name": name,
        "repository": "octo/site",
        "branch": "main",
        "instances": {"tags": {"role": "web"}},
        "checkout": "/srv/site",
    } | changes


def targets_text(*targets: Mapping[str, object]) -> str:
    """A repository's targets as they are stored."""
    return json.dumps(targets or [target_json()])


def push_json(**changes: object) -> dict[str, object]:
    """A push event's payload, in what Pulley reads of it and a little more."""
    return {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": COMMIT,
        "created": False,
        "deleted": False,
        "repository": {"full_name": "octo/site", "default_branch": "main"},
        "pusher": {"name": "mona", "email": None},
        "commits": [],
    } | changes


def sign(body: bytes, secret: str = SECRET, algorithm: str = "sha256") -> str:
    """The signature header's value, as GitHub makes it."""
    return f"{algorithm}={hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()}"


def delivery_of(
    payload: object, *, event: str = "push", secret: str = SECRET, guid: str = GUID
) -> Delivery:
    """A signed delivery of a payload; of bytes, where they are the body."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Delivery(body=body, event=event, id=guid, signature_256=sign(body, secret))


class FakeClock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeParameters:
    """The stage's parameters, by their full names. Settings are remembered until `forget`.

    `looked_up` has what was read newly: the repositories, and "pins". `may_look_again` is the
    budget for reading again. `error`, where set, is raised by every reading.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})
        self.looked_up: list[Repository | str | None] = []
        self.may_look_again = True
        self.error: PulleyError | None = None
        self._memory: dict[Repository | None, StoredSettings] = {}

    def forget(self) -> None:
        self._memory.clear()

    def settings(self, repository: Repository | None) -> StoredSettings:
        if repository in self._memory:
            return self._memory[repository]
        return self._read(repository)

    def settings_again(self, repository: Repository | None) -> StoredSettings | None:
        return self._read(repository) if self.may_look_again else None

    def pins(self, targets: Sequence[str]) -> StoredPins:
        self._look_up("pins")
        by_target = {target: self.values.get(NAMES.pin(target)) for target in targets}
        return StoredPins(
            by_target={target: pin for target, pin in by_target.items() if pin is not None},
            document=self.values.get(NAMES.document),
        )

    def _look_up(self, what: Repository | str | None) -> None:
        self.looked_up.append(what)
        if self.error:
            raise self.error

    def _read(self, repository: Repository | None) -> StoredSettings:
        self._look_up(repository)
        secret, own, targets = NAMES.webhook_secret, "", ""
        if repository:
            own = NAMES.repository_webhook_secret(repository)
            targets = NAMES.targets(repository)
        secret = own if own in self.values else secret
        settings = StoredSettings(
            secrets=read_secrets(self.values.get(secret, "")),
            secret_parameter=secret,
            targets=self.values.get(targets),
            known=own in self.values or targets in self.values,
        )
        self._memory[repository] = replace(settings, remembered=True)
        return settings


class FakeCommands:
    """Run Command: keeps what was sent, and says no to the targets in `refused`."""

    def __init__(self, refused: Mapping[str, PulleyError] | None = None) -> None:
        self.refused = dict(refused or {})
        self.sent: list[SendRequest] = []

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        return [self._send(request) for request in requests]

    def _send(self, request: SendRequest) -> str | PulleyError:
        if request.target in self.refused:
            return self.refused[request.target]
        self.sent.append(request)
        return f"command-{len(self.sent)}"


Reply = tuple[int, Mapping[str, object]] | Exception | None
NOTHING_FOUND: Reply = (200, {"Parameters": [], "InvalidParameters": []})


def aws_error(code: str, status: int = 400, message: str = "AWS's own words") -> Reply:
    """An error as Systems Manager writes it."""
    return status, {"__type": code, "message": message}


class Wire:
    """A botocore `before-send` handler: stands where a request would leave for AWS.

    `attempts` has each attempt's operation and arguments. `reply`, called with these, says what AWS
    answers: a status and a body, an exception of the network, or None for who comes next (moto).
    """

    def __init__(self, reply: Callable[[str, Mapping[str, Any]], Reply] | Reply = None) -> None:
        self.attempts: list[tuple[str, Mapping[str, Any]]] = []
        self.reply = reply

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.attempts]

    def arguments_of(self, operation: str) -> list[Mapping[str, Any]]:
        return [arguments for name, arguments in self.attempts if name == operation]

    def attach(self, events: BaseEventHooks | Session) -> None:
        """To a client's events, or to a session whose clients are still to be made."""
        # The stubs forget that a handler of before-send may answer.
        events.register("before-send.ssm", cast("Callable[..., None]", self))

    def detach(self, session: Session) -> None:
        session.unregister("before-send.ssm", cast("Callable[..., None]", self))

    def __call__(
        self, request: AWSPreparedRequest, event_name: str, **_event: object
    ) -> AWSResponse | None:
        body = request.body
        operation = event_name.rpartition(".")[2]
        arguments = json.loads(body) if isinstance(body, bytes) else {}
        self.attempts.append((operation, arguments))
        reply = self.reply(operation, arguments) if callable(self.reply) else self.reply
        if reply is None:
            return None
        if isinstance(reply, Exception):
            raise reply
        status, answer = reply
        raw = _RawBody(json.dumps(answer).encode())
        return AWSResponse(request.url, status, HTTPHeaders(), raw)


class _RawBody:
    """What botocore reads an answer from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_how: object) -> Iterator[bytes]:
        yield self._content
