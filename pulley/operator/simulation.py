"""Simulate a delivery: run the flow that Lambda runs, with ports that only record.

The delivery is signed here with the stored secret, which does not leave this process.
"""

import hmac
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chalicelib.answers import answer_to
from chalicelib.core.commands import SendRequest
from chalicelib.core.decisions import Decision
from chalicelib.core.deployments import Cause, Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.errors import PulleyError
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.refs import Repository
from chalicelib.core.stored import pin_of
from chalicelib.core.targets import Target, TargetsError, match_targets, parse_stored_targets
from chalicelib.core.wake import Woken
from chalicelib.core.webhook import (
    FORM,
    JSON,
    DeletionEvent,
    Delivery,
    DeliveryError,
    PushEvent,
    parse_delivery,
    parse_payload,
)
from chalicelib.edges.parameters import ParameterStore
from chalicelib.flows.deploy import Deployer
from chalicelib.flows.receive import Accepted, Ignored, Receiver
from chalicelib.flows.verify import Verifier
from pulley.operator.aws.document import Documents
from pulley.operator.stage.stage import Stage

NOT_SENT = "not sent"  # in place of a command's id


@dataclass(frozen=True)
class SimulatedTarget:
    """What a delivery means for one target. `request` is the command that would be sent."""

    target: Target
    follows: bool
    pin: str
    hosts: Sequence[Host] = ()
    request: SendRequest | None = None
    said: DeploymentStatus | None = None  # at once, on the commit
    is_announced: bool = False


@dataclass(frozen=True)
class Simulation:
    """What was found before the delivery's outcome, and the outcome.

    `secret_parameter` is the parameter that opens the repository. `ref` and `commit` are of a push.
    """

    delivery: str
    event: str
    outcome: Accepted | Ignored | PulleyError
    secret_parameter: str = ""
    repository: Repository | None = None
    ref: str = ""
    commit: str = ""
    targets: Sequence[SimulatedTarget] = ()

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return answer_to(self.outcome)[0]

    @property
    def body(self) -> Mapping[str, object]:
        """The answer's body."""
        return answer_to(self.outcome)[1]

    @property
    def detail(self) -> str:
        """What the log would add to the answer, or ""."""
        if isinstance(self.outcome, PulleyError):
            return self.outcome.detail
        if isinstance(self.outcome, Accepted):
            return "; ".join(f"{name}: {error.in_full}" for name, error in self.outcome.failed)
        return ""

    @property
    def is_well(self) -> bool:
        """Whether GitHub would show the delivery green."""
        return 200 <= self.status < 300

    @property
    def commands(self) -> int:
        """How many commands would be sent."""
        return sum(target.request is not None for target in self.targets)


@dataclass
class _Recorder:
    """The ports that would change something. GitHub has no deployment of the commit yet."""

    now: datetime
    documents: Documents
    requests: dict[str, SendRequest] = field(default_factory=dict)
    announced: list[str] = field(default_factory=list)
    said: dict[str, DeploymentStatus] = field(default_factory=dict)

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        refused = self.documents.refusal_of(requests[0].document_pin) if requests else None
        if refused:
            return [refused for _ in requests]
        for request in requests:
            # Hide the deployment's id: it is this recorder's, and GitHub would choose another.
            parameters = {**request.parameters, "Deployment": ""}
            self.requests[request.target] = replace(request, parameters=parameters)
        return [NOT_SENT for _ in requests]

    def open(
        self, _cause: Cause, requests: Sequence[DeploymentRequest], *, seconds: float
    ) -> tuple[Sequence[tuple[Deployment, bool] | PulleyError], float]:
        made: list[tuple[Deployment, bool] | PulleyError] = []
        for request in requests:
            self.announced.append(request.target)
            deployment = Deployment(
                id=len(self.announced),
                commit=request.commit.sha,
                environment=request.environment,
                created=self.now,
                stage=request.stage,
                target=request.target,
            )
            made.append((deployment, True))
        return made, seconds

    def post(
        self,
        _cause: Cause,
        posts: Sequence[tuple[int, DeploymentStatus]],
        *,
        seconds: float,  # noqa: ARG002 - nothing is waited for
    ) -> Sequence[PulleyError | None]:
        for id_, status in posts:
            self.said[self.announced[id_ - 1]] = status
        return [None for _ in posts]

    def wake(self, of: Woken) -> None:
        """Start no round."""

    def note(self, decision: Decision) -> None:
        """Ignore it: the outcome is shown."""


def simulate(stage: Stage, body: bytes, event: str, *, now: datetime) -> Simulation:
    """Run the webhook's flow on a delivery. `now` is aware.

    Raises RefusedError and UnavailableError if the operator may not read what Lambda reads.
    """
    parameters = ParameterStore(stage.ssm, stage.name)
    content_type = FORM if body.lstrip().startswith(b"payload=") else JSON
    delivery = Delivery(body=body, content_type=content_type, event=event, id=str(uuid.uuid4()))
    repository = _repository_of(delivery)
    settings = parameters.settings(repository)
    # If no secret is stored, any will do: the flow finds that out and refuses.
    secret = settings.secrets[0] if settings.secrets else b"none is stored"
    signature = hmac.digest(secret, body, "sha256").hex()
    delivery = replace(delivery, signature_256=f"sha256={signature}")
    recorder = _Recorder(now, Documents(stage.ssm, stage.document))
    deployer = Deployer(
        stage=stage.name,
        pins=parameters,
        commands=recorder,
        announcements=recorder,
        journal=recorder,
    )
    # As in a new Lambda, nothing is remembered: what is stored now counts.
    verifier = Verifier(allow_sha1=False, parameters=ParameterStore(stage.ssm, stage.name))
    receiver = Receiver(verifier, deployer, recorder, recorder)
    outcome: Accepted | Ignored | PulleyError
    try:
        outcome = receiver.receive(delivery, now=now)
    except PulleyError as error:
        outcome = error
    found = Simulation(delivery.id, event, outcome, settings.secret_parameter, repository)
    push = _push_of(delivery)
    if push is None:
        return found
    if isinstance(push, DeletionEvent):
        return replace(found, ref=push.ref)
    targets = _targets(settings.targets, push.repository)
    following = {target.name for target in match_targets(targets, push.ref)}
    return replace(
        found,
        ref=push.ref,
        commit=push.after.sha,
        targets=_simulated(stage, targets, following, recorder, now),
    )


def _simulated(
    stage: Stage,
    targets: Sequence[Target],
    following: set[str],
    recorder: _Recorder,
    now: datetime,
) -> list[SimulatedTarget]:
    fleet = Fleet(stage.directory.hosts(), stage.name) if recorder.requests else None
    stored = stage.stored.pins([target.name for target in targets])
    found = []
    for target in targets:
        try:
            pin = pin_of(target, stored)
            words = str(pin) if pin and pin.holds(now) else ""
        except PulleyError as error:
            words = error.in_full
        request = recorder.requests.get(target.name)
        found.append(
            SimulatedTarget(
                target=target,
                follows=target.name in following,
                pin=words,
                hosts=fleet.of(target) if fleet and request else (),
                request=request,
                said=recorder.said.get(target.name),
                is_announced=target.name in recorder.announced,
            )
        )
    return found


def _targets(stored: str | None, repository: Repository) -> Sequence[Target]:
    """The stored targets; none if they do not parse, which the outcome reports."""
    try:
        return parse_stored_targets(stored or "[]", repository)
    except TargetsError:
        return ()


def _repository_of(delivery: Delivery) -> Repository | None:
    try:
        return parse_payload(delivery).repository
    except DeliveryError:
        return None


def _push_of(delivery: Delivery) -> PushEvent | DeletionEvent | None:
    try:
        event = parse_delivery(delivery, parse_payload(delivery))
    except DeliveryError:
        return None
    return event if isinstance(event, PushEvent | DeletionEvent) else None


def selectors(request: SendRequest) -> Mapping[str, str]:
    """The command's target selectors, for people."""
    return {key: ", ".join(values) for key, values in request.selectors}
