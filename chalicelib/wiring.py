"""Joins the parts: builds all clients and flows, with the settings of the environment.

Clients are built when they are first used, not at import, because `chalice package` imports the app
without a region. Modules that the webhook does not need are imported only where they are used,
because a delivery to a cold function waits for each import (benchmarks/cold.py measures it).
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from chalicelib.core.commands import COMMAND_CHANGE, document_name
from chalicelib.core.decisions import Decision
from chalicelib.core.errors import PulleyError
from chalicelib.core.webhook import Delivery
from chalicelib.edges.aws import (
    Deadline,
    build_autoscaling_client,
    build_ec2_client,
    build_sns_client,
    build_ssm_client,
)
from chalicelib.edges.github import github_at
from chalicelib.edges.github_deadline import PromptGitHub
from chalicelib.edges.journal import Journal
from chalicelib.edges.parameters import KnownRepositories, ParameterStore
from chalicelib.edges.run_command import RunCommand
from chalicelib.flows.deploy import Deployer
from chalicelib.flows.receive import Accepted, Ignored, Receiver
from chalicelib.flows.verify import Verifier
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from chalicelib.core.events import NotReported
    from chalicelib.core.launches import NotLaunched
    from chalicelib.core.wake import Woken
    from chalicelib.edges.command_history import CommandHistory
    from chalicelib.edges.topic import Topic
    from chalicelib.edges.wake import Waker
    from chalicelib.flows.launch import LaunchWatcher, Watched
    from chalicelib.flows.reconcile import Reconciler
    from chalicelib.flows.report import Reported, Reporter
    from chalicelib.flows.round import Round
    from chalicelib.flows.sync import DeploymentSync
    from chalicelib.page.hosted import Answer, HostedPage

_STAGE = os.environ.get("PULLEY_STAGE", "")
_MINUTES = os.environ.get("PULLEY_RECONCILE_MINUTES", "")
RECONCILE_MINUTES = int(_MINUTES) if re.fullmatch("[1-9][0-9]{0,3}", _MINUTES) else 15
JOURNAL = Journal(_STAGE)
# The events for which EventBridge calls the reporter: of a whole command, not of each host's part.
STATUS_CHANGES = {
    "source": ["aws.ssm"],
    "detail-type": [COMMAND_CHANGE],
    "detail": {"document-name": [document_name(_STAGE)]},
}


def launch_events(stage: str) -> dict[str, object]:
    """The pattern of the events for which EventBridge calls the launch function.

    They are of instances that our lifecycle hook holds, and of any instance that starts, because
    EventBridge cannot look at tags. core/launches.py has the same names; no delivery loads it.
    """
    absent = {"exists": False}
    return {
        "source": ["aws.autoscaling", "aws.ec2"],
        "detail-type": [
            "EC2 Instance-launch Lifecycle Action",
            "EC2 Instance State-change Notification",
        ],
        "detail": {
            "LifecycleHookName": [f"pulley-{stage}", absent],
            "state": ["running", absent],
        },
    }


LAUNCHES = launch_events(_STAGE)


def receive(delivery: Delivery) -> Ignored | Accepted:
    """Act on a delivery that came now. Raises what Receiver.receive does."""
    receiver, deadline = _receiver()
    deadline.restart()
    return receiver.receive(delivery, now=datetime.now(UTC))


def report(event: object) -> "Reported | NotReported":
    """Act on an event of EventBridge that came now. Raises what Reporter.report does."""
    with _noting("event"):
        reporter = _reporter()
    return reporter.report(event, now=datetime.now(UTC))


def watch_launch(event: object, seconds_left: Callable[[], float]) -> "Watched | NotLaunched":
    """Watch a new instance. Raises what LaunchWatcher.watch does."""
    with _noting("launch"):
        watcher = _launch_watcher()
    return watcher.watch(event, seconds_left=seconds_left)


def reconcile(event: object, seconds_left: Callable[[], float]) -> "Round":
    """Do a round now; a part of one if the event is a wake. Raises what its parts raise."""
    from chalicelib.core.wake import parse_wake

    with _noting("round"):
        only = parse_wake(event)
        reconciler = _reconciler()
    return reconciler.reconcile(seconds_left=seconds_left, only=only)


def show_page(path: str, query: Mapping[str, str], cookies: str) -> "Answer":
    """Answer a request for the hosted page now."""
    from chalicelib.page.hosted import Asked, not_found

    try:
        hosted = _hosted_page()
    except PulleyError:  # of the settings, which each delivery and round logs
        return not_found()
    return hosted.answer(Asked(path, query, cookies), now=datetime.now(UTC))


@contextmanager
def _noting(about: str) -> Iterator[None]:
    """Log a problem of the settings: Lambda's own line for an error lacks the detail."""
    try:
        yield
    except PulleyError as error:
        JOURNAL.note(Decision(about, "failed", {"reason": error.in_full}, "error"))
        raise


# Each of these is built once for a process of Lambda, so it keeps its connections and its cache.


@cache
def _receiver() -> tuple[Receiver, Deadline]:
    settings = Settings.from_environ(os.environ)
    deadline = Deadline()
    client = build_ssm_client(deadline)
    known = KnownRepositories(client, settings.stage)
    parameters = ParameterStore(client, settings.stage, known=known)
    deployer = Deployer(
        stage=settings.stage,
        pins=parameters,
        commands=RunCommand(client),
        announcements=PromptGitHub(github_at(settings.github_api), deadline),
        journal=JOURNAL,
    )
    verifier = Verifier(settings.allow_sha1, parameters)
    return Receiver(verifier, deployer, _LateWaker(settings.stage, deadline), JOURNAL), deadline


@dataclass(frozen=True)
class _LateWaker:
    """A waker whose client is built when it is first used: a plain push must not wait for it."""

    stage: str
    deadline: Deadline | None = None

    def wake(self, of: "Woken") -> None:
        """Start a round. Raises RefusedError or UnavailableError."""
        _waker(self.stage, self.deadline).wake(of)


@cache
def _waker(stage: str, deadline: Deadline | None) -> "Waker":
    from chalicelib.core.wake import reconciler_name
    from chalicelib.edges.aws import build_lambda_client
    from chalicelib.edges.wake import Waker

    return Waker(build_lambda_client(deadline), reconciler_name(stage))


@cache
def _reporter() -> "Reporter":
    from chalicelib.edges.command_history import CommandHistory
    from chalicelib.flows.report import Reporter

    settings = Settings.from_environ(os.environ)
    client = build_ssm_client()
    history = CommandHistory(client, document_name(settings.stage))
    return Reporter(
        stage=settings.stage,
        history=history,
        deployment_sync=_deployment_sync(settings, client, history),
        parameters=ParameterStore(client, settings.stage),
        waker=_LateWaker(settings.stage),
        journal=JOURNAL,
        pause=time.sleep,
    )


@cache
def _launch_watcher() -> "LaunchWatcher":
    from chalicelib.edges.auto_scaling import HeldLaunch
    from chalicelib.edges.command_history import HostAnswers
    from chalicelib.edges.hosts import HostDirectory
    from chalicelib.flows.launch import LaunchWatcher

    stage = Settings.from_environ(os.environ).stage
    client = build_ssm_client()
    return LaunchWatcher(
        stage=stage,
        hosts=HostDirectory(build_ec2_client(), client, stage),
        answers=HostAnswers(client, document_name(stage)),
        held=HeldLaunch(build_autoscaling_client()),
        waker=_LateWaker(stage),
        journal=JOURNAL,
        clock=time.monotonic,
        pause=time.sleep,
    )


@cache
def _reconciler() -> "Reconciler":
    from chalicelib.edges.auto_scaling import HeldLaunches
    from chalicelib.edges.command_history import CommandHistory
    from chalicelib.edges.github_reading import reading
    from chalicelib.edges.hosts import HostDirectory
    from chalicelib.edges.round_parameters import RoundParameters
    from chalicelib.flows.catch_up import CatchUp
    from chalicelib.flows.gates import GateReader
    from chalicelib.flows.launches import LaunchCompleter
    from chalicelib.flows.reconcile import RESERVE_SECONDS, Reconciler
    from chalicelib.flows.release import Releaser
    from chalicelib.flows.round import PlanSender
    from chalicelib.flows.snapshot import Reader

    settings = Settings.from_environ(os.environ)
    client = build_ssm_client()
    history = CommandHistory(client, document_name(settings.stage))
    stored = RoundParameters(client, settings.stage)
    interval = timedelta(minutes=RECONCILE_MINUTES)
    github, commands = github_at(settings.github_api), RunCommand(client)
    reader = Reader(
        stage=settings.stage,
        stored=stored,
        directory=HostDirectory(build_ec2_client(), client, settings.stage),
        history=history,
        github=reading(github),
        journal=JOURNAL,
    )
    deployer = Deployer(
        stage=settings.stage,
        pins=stored,
        commands=commands,
        announcements=PromptGitHub(github, Deadline()),
        journal=JOURNAL,
    )
    return Reconciler(
        stored=stored,
        reader=reader,
        releaser=Releaser(
            settings.stage,
            GateReader(reader, pause=time.sleep),
            # Each request may take some seconds more: a slow GitHub must not end the round.
            reading(github, RESERVE_SECONDS / 2),
            deployer,
            JOURNAL,
            _now,
        ),
        catch_up=CatchUp(reader, _deployment_sync(settings, client, history), interval),
        sender=PlanSender(settings.stage, stored, reader, commands, JOURNAL, _now),
        launches=LaunchCompleter(
            settings.stage,
            HeldLaunches(build_autoscaling_client(), settings.stage),
            _topic(settings),
            JOURNAL,
        ),
        journal=JOURNAL,
        interval=interval,
        clock=_now,
    )


@cache
def _hosted_page() -> "HostedPage":
    from secrets import token_urlsafe

    from chalicelib.edges.command_history import CommandHistory
    from chalicelib.edges.command_output import CommandOutput
    from chalicelib.edges.hosts import HostDirectory
    from chalicelib.edges.page_keys import PageKeys
    from chalicelib.edges.round_parameters import RoundParameters
    from chalicelib.page.hosted import BADGE_SECONDS, FRESH_SECONDS, HostedPage
    from chalicelib.page.kept import Kept
    from chalicelib.page.reading import Source, StageReading
    from chalicelib.status.state import Surroundings

    settings = Settings.from_environ(os.environ)
    deadline = Deadline()
    client = build_ssm_client(deadline)
    region = client.meta.region_name
    source = Source(
        surroundings=Surroundings(settings.stage, region, settings.github_pages, in_full=False),
        stored=RoundParameters(client, settings.stage),
        directory=HostDirectory(build_ec2_client(deadline), client, settings.stage),
        history=CommandHistory(client, document_name(settings.stage)),
        outputs=CommandOutput(client),
        github_api=settings.github_api,
        journal=JOURNAL,
    )
    return HostedPage(
        stage=settings.stage,
        keys=PageKeys(client, settings.stage),
        reading=StageReading(source),
        journal=JOURNAL,
        nonce=lambda: token_urlsafe(16),
        deadline=deadline,
        kept=Kept(FRESH_SECONDS),
        badges=Kept(BADGE_SECONDS),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _deployment_sync(
    settings: Settings, client: "SSMClient", history: "CommandHistory"
) -> "DeploymentSync":
    from chalicelib.flows.notify import Memory, Notifier
    from chalicelib.flows.sync import DeploymentSync

    def log_url(command_id: str) -> str:
        region = client.meta.region_name
        console = f"https://{region}.console.aws.amazon.com/systems-manager/run-command"
        return f"{console}/{command_id}?region={region}"

    return DeploymentSync(
        stage=settings.stage,
        parameters=ParameterStore(client, settings.stage),
        history=history,
        github=github_at(settings.github_api).of,
        notifier=Notifier(settings.stage, _topic(settings), JOURNAL, log_url),
        journal=JOURNAL,
        memory=Memory(),
    )


def _topic(settings: Settings) -> "Topic | None":
    from chalicelib.edges.topic import Topic

    return Topic(build_sns_client(), settings.topic_arn) if settings.topic_arn else None
