"""Joins the parts: reads the settings from the environment, and builds all clients.

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
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.webhook import Delivery
from chalicelib.edges.aws import Deadline, build_ec2_client, build_sns_client, build_ssm_client
from chalicelib.edges.github import GitHub
from chalicelib.edges.github_deadline import PromptGitHub
from chalicelib.edges.journal import Journal
from chalicelib.edges.parameters import KnownRepositories, ParameterStore
from chalicelib.edges.run_command import RunCommand
from chalicelib.flows.deploy import Deployer
from chalicelib.flows.receive import Accepted, Ignored, Receiver

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from chalicelib.core.events import NotReported
    from chalicelib.edges.command_history import CommandHistory
    from chalicelib.flows.reconcile import Reconciler, Round
    from chalicelib.flows.report import Reported, Reporter
    from chalicelib.flows.sync import DeploymentSync

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

CONFIG = ".chalice/config.json"
STAGE_NAME = re.compile("[A-Za-z0-9_-]{1,30}")
_API_URL = re.compile(r"https://[^\s/?#@]+(/[^\s?#]*)?|http://(127\.0\.0\.1|localhost)(:\d+)?/?")


@dataclass(frozen=True)
class Settings:
    """A stage's settings, valid."""

    stage: str
    allow_sha1: bool = False
    github_api: str = "https://api.github.com"
    topic_arn: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, place: str = CONFIG) -> "Settings":
        """Read variables set at `place`. Raises UnavailableError with every problem at once."""
        settings = cls(
            stage=environ.get("PULLEY_STAGE", ""),
            allow_sha1=environ.get("PULLEY_ALLOW_SHA1") == "1",
            github_api=environ.get("PULLEY_GITHUB_API") or cls.github_api,
            topic_arn=environ.get("PULLEY_TOPIC_ARN", ""),
        )
        problems = []
        if not STAGE_NAME.fullmatch(settings.stage):
            problems.append("PULLEY_STAGE must be letters, digits, _ and -")
        if not _API_URL.fullmatch(settings.github_api):
            problems.append("PULLEY_GITHUB_API must be like https://github.example.com/api/v3")
        topic = f"pulley-{settings.stage}"  # the only one that the role may publish to
        is_topic = re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:(.*)", settings.topic_arn)
        if settings.topic_arn and (not is_topic or is_topic[1] != topic):
            problems.append(f"PULLEY_TOPIC_ARN must be the ARN of the SNS topic {topic}")
        if problems:
            raise UnavailableError(
                "this stage is not set up",
                detail=f"in {place}: {'; '.join(problems)}",
            )
        return settings


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


def reconcile(seconds_left: Callable[[], float]) -> "Round":
    """Do a round now. Raises what Reconciler.reconcile does."""
    with _noting("round"):
        reconciler = _reconciler()
    return reconciler.reconcile(seconds_left=seconds_left)


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
        announcements=PromptGitHub(GitHub(settings.github_api), deadline),
        journal=JOURNAL,
    )
    return Receiver(settings.allow_sha1, parameters, deployer, JOURNAL), deadline


@cache
def _reporter() -> "Reporter":
    from chalicelib.edges.command_history import CommandHistory
    from chalicelib.flows.report import Reporter

    settings = Settings.from_environ(os.environ)
    client = build_ssm_client()
    history = CommandHistory(client, document_name(settings.stage))
    deployment_sync = _deployment_sync(settings, client, history)
    return Reporter(settings.stage, history, deployment_sync, JOURNAL, time.sleep)


@cache
def _reconciler() -> "Reconciler":
    from chalicelib.edges.command_history import CommandHistory
    from chalicelib.edges.hosts import HostDirectory
    from chalicelib.edges.round_parameters import RoundParameters
    from chalicelib.flows.catch_up import CatchUp
    from chalicelib.flows.reconcile import Reconciler
    from chalicelib.flows.snapshot import Reader

    settings = Settings.from_environ(os.environ)
    client = build_ssm_client()
    history = CommandHistory(client, document_name(settings.stage))
    stored = RoundParameters(client, settings.stage)
    interval = timedelta(minutes=RECONCILE_MINUTES)
    reader = Reader(
        stage=settings.stage,
        stored=stored,
        directory=HostDirectory(build_ec2_client(), client, settings.stage),
        history=history,
        github=GitHub(settings.github_api).of,
        journal=JOURNAL,
    )
    return Reconciler(
        stage=settings.stage,
        stored=stored,
        reader=reader,
        catch_up=CatchUp(reader, _deployment_sync(settings, client, history), interval),
        commands=RunCommand(client),
        journal=JOURNAL,
        interval=interval,
        clock=lambda: datetime.now(UTC),
    )


def _deployment_sync(
    settings: Settings, client: "SSMClient", history: "CommandHistory"
) -> "DeploymentSync":
    from chalicelib.edges.topic import Topic
    from chalicelib.flows.notify import Memory, Notifier
    from chalicelib.flows.sync import DeploymentSync

    def log_url(command_id: str) -> str:
        region = client.meta.region_name
        console = f"https://{region}.console.aws.amazon.com/systems-manager/run-command"
        return f"{console}/{command_id}?region={region}"

    topic = Topic(build_sns_client(), settings.topic_arn) if settings.topic_arn else None
    return DeploymentSync(
        stage=settings.stage,
        parameters=ParameterStore(client, settings.stage),
        history=history,
        github=GitHub(settings.github_api).of,
        notifier=Notifier(settings.stage, topic, JOURNAL, log_url),
        journal=JOURNAL,
        memory=Memory(),
    )
