"""In-memory stand-ins for the flows' ports, and the deliveries that GitHub would sign.

tests/edges runs one suite against these and the real edges, so that both keep the same contract.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import unquote

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.hooks import BaseEventHooks
from botocore.session import Session

from chalicelib.core.commands import SendRequest
from chalicelib.core.decisions import Decision
from chalicelib.core.deployments import (
    MAX_DESCRIPTION,
    NO_LINKS,
    Cause,
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    Links,
    NotGreen,
)
from chalicelib.core.errors import PulleyError
from chalicelib.core.history import Check, Command, Invocation
from chalicelib.core.holds import RoundState, parse_round_state, write_round_state
from chalicelib.core.launches import Launch
from chalicelib.core.notifications import Notification
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.stored import (
    ParameterNames,
    StoredPins,
    StoredReportSettings,
    StoredSettings,
    read_secrets,
)
from chalicelib.core.wake import Woken
from chalicelib.core.webhook import Delivery
from chalicelib.edges.github import PAGES

STAGE = "dev"
COMMIT = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
SECRET = "It's a Secret to Everybody"
TOKEN = "github_pat_that_nobody_may_see"
NAMES = ParameterNames(STAGE)
SITE = Repository("octo", "site")


def target_json(name: object = "web", **changes: object) -> dict[str, object]:
    """A stored target with the required keys, and the changes."""
    return {
        "name": name,
        "repository": "octo/site",
        "branch": "main",
        "instances": {"tags": {"role": "web"}},
        "checkout": "/srv/site",
    } | changes


def targets_text(*targets: Mapping[str, object]) -> str:
    """A repository's targets, as stored."""
    return json.dumps(targets or [target_json()])


def push_json(**changes: object) -> dict[str, object]:
    """A push event's payload: the fields that Pulley reads and a few more."""
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
    """A signed delivery of a payload. A payload of bytes is the body itself."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Delivery(body=body, event=event, id=guid, signature_256=sign(body, secret))


class FakeClock:
    """A clock that a test moves by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeParameters:
    """The stage's parameters, by their full names. Settings are remembered until `forget`.

    `looked_up` lists the reads that did not come from memory: repositories, "pins", "report",
    "repositories" for all of them, and "state". `may_look_again` is the budget for reading again,
    `may_verified` the budget of verified deliveries. If `error` is set, every read and write raises
    it.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})
        self.looked_up: list[Repository | str | None] = []
        self.may_look_again = True
        self.may_verified = True
        self.error: PulleyError | None = None
        self._memory: dict[Repository | None, StoredSettings] = {}

    def forget(self) -> None:
        self._memory.clear()

    def settings(self, repository: Repository | None) -> StoredSettings:
        if repository in self._memory:
            return self._memory[repository]
        return self._read(repository)

    def settings_again(
        self, repository: Repository | None, *, is_verified: bool = False
    ) -> StoredSettings | None:
        may = self.may_verified if is_verified else self.may_look_again
        return self._read(repository) if may else None

    def pins(self, targets: Sequence[str]) -> StoredPins:
        self._look_up("pins")
        by_target = {target: self.values.get(NAMES.pin(target)) for target in targets}
        return StoredPins(
            by_target={target: pin for target, pin in by_target.items() if pin is not None},
            document=self.values.get(NAMES.document),
        )

    def report_settings(self, repository: Repository) -> StoredReportSettings:
        self._look_up("report")
        targets = self.values.get(NAMES.targets(repository))
        page = self.values.get(NAMES.page_url, "")
        return StoredReportSettings(self._token(repository), targets, page)

    def every_repository(self) -> Mapping[Repository, StoredReportSettings]:
        self._look_up("repositories")
        found = {}
        for name, targets in self.values.items():
            repository = name.removeprefix(NAMES.repositories).removesuffix("/targets")
            is_pruned = "".join(targets.split()) == "[]"
            if name == f"{NAMES.repositories}{repository}/targets" and not is_pruned:
                one = Repository.parse(repository)
                found[one] = StoredReportSettings(token=self._token(one), targets=targets)
        return dict(sorted(found.items()))

    def state(self) -> RoundState:
        self._look_up("state")
        return parse_round_state(self.values.get(NAMES.reconcile, ""))

    def store_state(self, state: RoundState) -> None:
        if self.error:
            raise self.error
        self.values[NAMES.reconcile] = write_round_state(state)

    def _token(self, repository: Repository) -> str:
        names = NAMES.repository_github_token(repository), NAMES.github_token
        stored = (self.values.get(name, "").strip() for name in names)
        return next((token for token in stored if token), "")

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
            token=self._token(repository) if repository else "",
            known=own in self.values or targets in self.values,
        )
        self._memory[repository] = replace(settings, remembered=True)
        return settings


class FakeCommands:
    """Run Command: keeps the sent requests, and refuses the targets in `refused`."""

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


class FakeJournal:
    """The log: keeps the decisions."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def note(self, decision: Decision) -> None:
        self.decisions.append(decision)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The subject and the outcome of each decision."""
        return [(one.about, one.outcome) for one in self.decisions]

    def of(self, about: str, outcome: str) -> list[Decision]:
        return [one for one in self.decisions if (one.about, one.outcome) == (about, outcome)]


class FakeTopic:
    """The SNS topic: keeps the published notifications. If `error` is set, `publish` raises it."""

    def __init__(self) -> None:
        self.published: list[Notification] = []
        self.error: PulleyError | None = None

    def publish(self, notification: Notification) -> None:
        if self.error:
            raise self.error
        self.published.append(notification)


class FakeHistory:
    """Run Command's memory: commands and their invocations, which a test adds and changes.

    `before` is called with a method's name before that method answers; in it a test lets time pass.
    """

    def __init__(self) -> None:
        self.commands: dict[str, Command | Check] = {}
        self.hosts: dict[str, tuple[Invocation, ...]] = {}
        self.before: Callable[[str], None] = lambda method: None
        self.error: PulleyError | None = None
        self.calls: list[str] = []

    def add(self, command: Command | Check, *invocations: Invocation) -> None:
        """Add the command, or replace it with this newer state."""
        self.commands[command.id] = command
        self.hosts[command.id] = invocations

    def sent(self, number: int) -> Command:
        """The command with that number of tests/flows/runs.py."""
        (found,) = [id_ for id_ in self.commands if int(id_[-12:], 16) == number]
        command = self.commands[found]
        assert isinstance(command, Command)
        return command

    def command(self, command_id: str) -> Command | Check | None:
        self._call("command")
        return self.commands.get(command_id)

    def commands_since(self, since: datetime, limit: int = 1000) -> Sequence[Command | Check]:
        self._call("commands_since")
        found = [one for one in self.commands.values() if one.requested >= since]
        return sorted(found, key=lambda one: one.requested, reverse=True)[:limit]

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        self._call("invocations")
        return self.hosts.get(command_id, ())

    def _call(self, method: str) -> None:
        self.before(method)
        self.calls.append(method)
        if self.error:
            raise self.error


class FakeDeployments:
    """One repository's deployments on GitHub, made a second apart, with all their statuses.

    `errors` lists for each method the errors of its next calls, one each; None is no error. If
    `before` is set, it is called with a method's name before that method answers, except by itself:
    it does what somebody else does between two calls. `unreadable` has ids that no list contains.
    """

    def __init__(self, now: datetime = datetime(2030, 1, 1, 8, tzinfo=UTC)) -> None:
        self.now = now
        self.made: dict[int, Deployment] = {}
        self.log: dict[int, list[DeploymentStatus]] = {}
        self.log_urls: dict[int, str] = {}
        self.environment_urls: dict[int, str] = {}
        self.errors: dict[str, list[PulleyError | None]] = {}
        self.unreadable: set[int] = set()
        self.before: Callable[[str], None] | None = None
        self.calls: list[str] = []
        self.checks: dict[str, dict[str, str]] = {}
        self.committed: dict[str, datetime] = {}
        self.bases: dict[tuple[CommitSha, CommitSha], CommitSha] = {}

    def create_if_green(
        self, request: DeploymentRequest, checks: Sequence[str]
    ) -> Deployment | NotGreen:
        """Judge as GitHub does: without names, every check that there is."""
        self._call("create_if_green")
        found = self.checks.get(request.commit.sha, {})
        states = {name: found.get(name, "expected") for name in checks or found}
        waiting = [f"{name}: {state}" for name, state in states.items() if state != "success"]
        if waiting:
            return NotGreen(", ".join(waiting))
        return self.create_for(request)

    def has_checks(self, commit: CommitSha) -> bool:
        self._call("has_checks")
        return bool(self.checks.get(commit.sha))

    def committed_at(self, commit: CommitSha) -> datetime:
        self._call("committed_at")
        return self.committed.get(commit.sha, self.now)

    def merge_base(self, one: CommitSha, other: CommitSha) -> CommitSha | None:
        self._call("merge_base")
        return self.bases.get((one, other))

    def find(self, request: DeploymentRequest) -> Deployment | None:
        self._call("find")
        return next((one for one in self.made.values() if one.answers(request)), None)

    def create(self, request: DeploymentRequest) -> Deployment:
        self._call("create")
        return self.create_for(request)

    def deployment(self, deployment_id: int) -> Deployment | None:
        self._call("deployment")
        return self.made.get(deployment_id)

    def newest(self, environment: str) -> Iterator[Deployment]:
        for page in range(PAGES):
            self._call("newest")
            found = [one for one in self.made.values() if one.environment == environment]
            sent = found[::-1][page * 100 : (page + 1) * 100]
            yield from (one for one in sent if one.id not in self.unreadable)
            if len(sent) < 100:
                return

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        self._call("statuses")
        return self.log[deployment_id][::-1][:100]

    def post(self, deployment_id: int, status: DeploymentStatus, links: Links = NO_LINKS) -> None:
        self._call("post")
        self.say(deployment_id, status)
        if links.log_url:
            self.log_urls[deployment_id] = links.log_url
        if links.environment_url:
            self.environment_urls[deployment_id] = links.environment_url

    def add(
        self, commit: str, environment: str = "web", stage: str = STAGE, target: str = "web"
    ) -> Deployment:
        """Add a deployment, a second after the last one."""
        id_ = 7001 + len(self.made)
        created = self.now + timedelta(seconds=len(self.made))
        self.made[id_] = Deployment(id_, commit, environment, created, stage, target)
        self.log[id_] = []
        return self.made[id_]

    def create_for(self, request: DeploymentRequest) -> Deployment:
        """Add the requested deployment."""
        return self.add(request.commit.sha, request.environment, request.stage, request.target)

    def say(self, deployment_id: int, status: DeploymentStatus) -> None:
        """Add a status, within GitHub's limits for its description."""
        assert 0 < len(status.description) <= MAX_DESCRIPTION
        self.log[deployment_id].append(status)

    def states(self, deployment_id: int) -> list[str]:
        """All states of the deployment, oldest first."""
        return [status.state for status in self.log[deployment_id]]

    def _call(self, method: str) -> None:
        before, self.before = self.before, None
        if before:
            before(method)
            self.before = self.before or before
        self.calls.append(method)
        errors = self.errors.get(method)
        error = errors.pop(0) if errors else None
        if error:
            raise error


class FakeWaker:
    """Records the repositories whose rounds were woken; raises `error` if there is one."""

    def __init__(self) -> None:
        self.woken: list[Woken] = []
        self.error: PulleyError | None = None

    def wake(self, of: Woken) -> None:
        if self.error:
            raise self.error
        self.woken.append(of)


class FakeGroups:
    """Auto Scaling: the groups of the instances that wait, and what they were answered."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.held_by_others: set[str] = set()
        self.answers: list[tuple[Launch, str]] = []
        self.asked_for_time: list[Launch] = []
        self.calls = 0
        self.errors: dict[str, PulleyError] = {}  # by method

    def waiting(self, instance_ids: Sequence[str]) -> Mapping[str, str]:
        self._call("waiting")
        return {one: self.held[one] for one in instance_ids if one in self.held}

    def is_waiting(self, launch: Launch) -> bool:
        return launch.instance in self.waiting([launch.instance])

    def complete(self, launch: Launch, result: str) -> bool:
        self._call("complete")
        if launch.instance in self.held_by_others:
            return False
        self.answers.append((launch, result))
        return self.held.pop(launch.instance, None) is not None

    def ask_for_time(self, launch: Launch) -> None:
        self._call("ask_for_time")
        self.asked_for_time.append(launch)

    def _call(self, method: str) -> None:
        self.calls += 1
        if method in self.errors:
            raise self.errors[method]


class FakeAnnouncements:
    """GitHub for a delivery, which returns errors and raises none.

    `tokens` and `seconds` have the token and the seconds of each call; `open` uses up `takes`
    seconds. `refused` has the errors of `open` by target, `post_error` is the error of `post`, and
    `error` the error of both.
    """

    def __init__(self, github: FakeDeployments) -> None:
        self.github = github
        self.refused: dict[str, PulleyError] = {}
        self.error: PulleyError | None = None
        self.post_error: PulleyError | None = None
        self.opened: list[DeploymentRequest] = []
        self.tokens: list[tuple[Repository, str]] = []
        self.seconds: list[float] = []
        self.takes = 0.0

    def open(
        self, cause: Cause, requests: Sequence[DeploymentRequest], *, seconds: float
    ) -> tuple[Sequence[tuple[Deployment, bool] | PulleyError], float]:
        self.tokens.append((cause.repository, cause.token))
        self.seconds.append(seconds)
        self.opened += requests
        return [self._open(request) for request in requests], seconds - self.takes

    def post(
        self, cause: Cause, posts: Sequence[tuple[int, DeploymentStatus]], *, seconds: float
    ) -> Sequence[PulleyError | None]:
        self.tokens.append((cause.repository, cause.token))
        self.seconds.append(seconds)
        error = self.error or self.post_error
        if error:
            return [error for _ in posts]
        for id_, status in posts:
            self.github.post(id_, status)
        return [None for _ in posts]

    def _open(self, request: DeploymentRequest) -> tuple[Deployment, bool] | PulleyError:
        error = self.error or self.refused.get(request.target)
        if error:
            return error
        found = self.github.find(request)
        return (found, False) if found else (self.github.create(request), True)


# A body is JSON, unless it is bytes.
Reply = tuple[int, Mapping[str, object] | bytes] | Exception | None
NOTHING_FOUND: Reply = (200, {"Parameters": [], "InvalidParameters": []})


def aws_error(code: str, status: int = 400, message: str = "AWS's own words") -> Reply:
    """An error in the form of Systems Manager."""
    return status, {"__type": code, "message": message}


class Wire:
    """A botocore `before-send` handler, which answers requests to AWS before they leave.

    `attempts` has each attempt's operation and arguments. `reply`, called with these, gives AWS's
    answer: a status and a body, an exception of the network, or None for the next handler (moto).
    """

    def __init__(self, reply: Callable[[str, Mapping[str, Any]], Reply] | Reply = None) -> None:
        self.attempts: list[tuple[str, Mapping[str, Any]]] = []
        self.reply = reply

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.attempts]

    def arguments_of(self, operation: str) -> list[Mapping[str, Any]]:
        return [arguments for name, arguments in self.attempts if name == operation]

    def attach(self, events: BaseEventHooks | Session, service: str = "ssm") -> None:
        """Attach to the events of a client, or of a session before it makes clients."""
        # By the stubs a handler of before-send returns nothing, but it may return an answer.
        events.register(f"before-send.{service}", cast("Callable[..., None]", self))

    def detach(self, session: Session, service: str = "ssm") -> None:
        session.unregister(f"before-send.{service}", cast("Callable[..., None]", self))

    def __call__(
        self, request: AWSPreparedRequest, event_name: str, **_event: object
    ) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        arguments = _arguments(operation, request)
        self.attempts.append((operation, arguments))
        reply = self.reply(operation, arguments) if callable(self.reply) else self.reply
        if reply is None:
            return None
        if isinstance(reply, Exception):
            raise reply
        status, answer = reply
        raw = RawBody(answer if isinstance(answer, bytes) else json.dumps(answer).encode())
        return AWSResponse(request.url, status, HTTPHeaders(), raw)


def _arguments(operation: str, request: AWSPreparedRequest) -> dict[str, Any]:
    """A request's arguments. Lambda's Invoke has its own in the path, a header and the body."""
    arguments: dict[str, Any] = (
        json.loads(request.body) if isinstance(request.body, bytes | str) else {}
    )
    if operation != "Invoke":
        return arguments
    name = unquote(request.url.removesuffix("/invocations").rpartition("/")[2])
    kind = request.headers["X-Amz-Invocation-Type"]
    kind = kind.decode() if isinstance(kind, bytes) else kind  # botocore may have encoded it
    return {"FunctionName": name, "InvocationType": kind, "Payload": arguments}


class RawBody:
    """A response body, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_how: object) -> Iterator[bytes]:
        yield self._content
