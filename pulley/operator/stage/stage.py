"""A stage in an AWS account, as an operator uses it. The edges are the same as Lambda's."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from chalicelib.core.commands import document_name
from chalicelib.core.decisions import DecisionLog
from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames, StoredReportSettings, every_target
from chalicelib.core.targets import Target
from chalicelib.edges.aws import (
    build_autoscaling_client,
    build_ec2_client,
    build_ssm_client,
    calling,
)
from chalicelib.edges.command_history import CommandHistory
from chalicelib.edges.command_output import CommandOutput
from chalicelib.edges.github import github_at, has_deployments
from chalicelib.edges.github_reading import RepositoryReading, reading
from chalicelib.edges.hosts import HostDirectory
from chalicelib.edges.run_command import RunCommand
from chalicelib.flows.snapshot import Reader
from chalicelib.settings import CONFIG, Settings
from chalicelib.status.state import Surroundings
from chalicelib.status.subjects import Subjects
from pulley.operator.aws.parameters import Parameters
from pulley.operator.near import did_you_mean
from pulley.operator.people.policies import Scope
from pulley.operator.people.refusals import explain_refusals
from pulley.operator.stage.deployed import DeployedStage
from pulley.operator.stage.endpoint import AWS, check_endpoint
from pulley.operator.stage.existing import check_is_there
from pulley.operator.stage.readable import ReadableParameters
from pulley.operator.suggest import suggest

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_ssm import SSMClient

Client = TypeVar("Client")
_BUILDING = Lock()
_TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")  # the operator's own, as for GitHub's gh


@dataclass(frozen=True)
class Identity:
    """Who the operator is to AWS. `name` is the last part of the ARN: a user or a session."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """The partition of AWS that the account is in: aws, aws-cn or aws-us-gov."""
        return self.arn.split(":")[1]

    @property
    def name(self) -> str:
        """The short name that the history shows."""
        return short_name(self.arn)


def short_name(arn: str) -> str:
    """The name of a user or a session, from its ARN."""
    return arn.rpartition("/")[2].rpartition(":")[2]


class Stage:
    """A stage. AWS is asked only when an answer is needed.

    Every property and method that asks raises RefusedError or UnavailableError.
    """

    def __init__(
        self,
        name: str,
        *,
        profile: str | None = None,
        region: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Raises UnavailableError for an invalid name, or a profile that does not exist."""
        import boto3
        from botocore.exceptions import BotoCoreError, ProfileNotFound

        self.environ = environ
        self.deployed = DeployedStage(name)
        self.settings = Settings.from_environ(
            {
                "PULLEY_STAGE": name,
                "PULLEY_GITHUB_API": environ.get("PULLEY_GITHUB_API")
                or self.deployed.environment.get("PULLEY_GITHUB_API", ""),
            },
            place="the environment" if environ.get("PULLEY_GITHUB_API") else CONFIG,
        )
        self.name = name
        self.names = ParameterNames(name)
        self.document = document_name(name)
        try:
            self._session = boto3.Session(profile_name=profile, region_name=region)
            explain_refusals(self._session.events, name)
            self.region = self._session.region_name or ""  # "" if it is not configured
            boto3.DEFAULT_SESSION = self._session  # for clients that are built elsewhere
        except ProfileNotFound:
            raise _no_profile(profile or environ.get("AWS_PROFILE", "")) from None
        except BotoCoreError as error:
            raise UnavailableError(f"AWS cannot be used: {error}") from None

    @cached_property
    def ssm(self) -> "SSMClient":
        """Systems Manager."""
        return self._client(build_ssm_client)

    @cached_property
    def ec2(self) -> "EC2Client":
        """EC2."""
        return self._client(build_ec2_client)

    @cached_property
    def auto_scaling(self) -> "AutoScalingClient":
        """EC2 Auto Scaling."""
        return self._client(build_autoscaling_client)

    @cached_property
    def iam(self) -> "IAMClient":
        """IAM."""
        check_endpoint(self.environ.get(AWS, ""))
        with calling("a client of IAM"):
            return self._session.client("iam")

    @cached_property
    def identity(self) -> Identity:
        """Who the operator is."""
        check_endpoint(self.environ.get(AWS, ""))
        with calling("asking who you are"):
            answer = self._session.client("sts").get_caller_identity()
            return Identity(answer["Account"], answer["Arn"])

    @property
    def scope(self) -> Scope:
        """What the policies for people are about."""
        return Scope(self.name, self.identity.account, self.identity.partition)

    @cached_property
    def parameters(self) -> Parameters:
        """Parameter Store, to read and write."""
        return Parameters(self.ssm)

    @cached_property
    def stored(self) -> ReadableParameters:
        """What is stored, as a round of the schedule reads it."""
        return ReadableParameters(self.ssm, self.name)

    @cached_property
    def history(self) -> CommandHistory:
        """Run Command's history."""
        return CommandHistory(self.ssm, self.document)

    @cached_property
    def outputs(self) -> CommandOutput:
        """What scripts wrote on hosts."""
        return CommandOutput(self.ssm)

    @cached_property
    def commands(self) -> RunCommand:
        """Run Command, to send."""
        return RunCommand(self.ssm)

    @cached_property
    def directory(self) -> HostDirectory:
        """The stage's hosts."""
        return HostDirectory(self.ec2, self.ssm, self.name)

    @cached_property
    def github(self) -> Callable[[Repository, str], RepositoryReading]:
        """GitHub, or the stage's own server, by repository and token."""
        return reading(github_at(self.settings.github_api))

    @cached_property
    def subjects(self) -> Subjects:
        """The first lines of commits."""
        return Subjects(self.github)

    def _client(self, build: Callable[[], Client]) -> Client:
        """Build a client with this stage's profile and region. Raises UnavailableError."""
        import boto3

        check_endpoint(self.environ.get(AWS, ""))
        # The edges use boto3's one default session, and stages may be read by several threads.
        with _BUILDING:
            boto3.DEFAULT_SESSION = self._session
            return build()

    @property
    def surroundings(self) -> Surroundings:
        """Where the stage is, for links."""
        return Surroundings(self.name, self.region, self.settings.github_pages)

    @property
    def has_deployments(self) -> bool:
        """Whether it reports to GitHub; False for a Gitea or Forgejo server."""
        return has_deployments(self.settings.github_api)

    @property
    def webhook_url(self) -> str:
        """The URL that GitHub posts to, ending in /github; "" if the app is not deployed.

        The environment's URL is used only for the stage that the environment names.
        """
        is_of_another = self.environ.get("PULLEY_STAGE", self.name) not in {"", self.name}
        told = "" if is_of_another else self.environ.get("PULLEY_WEBHOOK_URL", "")
        return told or self.deployed.webhook_url

    def reader(self, journal: DecisionLog) -> Reader:
        """A reader of how targets stand. It tells the journal what GitHub did not answer."""
        return Reader(
            stage=self.name,
            stored=self.stored,
            directory=self.directory,
            history=self.history,
            github=self.github,
            journal=journal,
        )

    def own_token(self) -> str:
        """The operator's own token for GitHub, from the environment, or ""."""
        return next((self.environ[one] for one in _TOKENS if self.environ.get(one)), "")

    def stored_default_token(self) -> str:
        """The stage's token, for repositories without one of their own; or ""."""
        stored = self.parameters.read_one(self.names.github_token)
        return stored.value.strip() if stored else ""

    def token_name(self, repository: Repository) -> str:
        """The variable or the parameter that has the token for a repository; or "".

        Raises RefusedError and UnavailableError.
        """
        for name in _TOKENS:
            if self.environ.get(name):
                return name
        names = self.names.repository_github_token(repository), self.names.github_token
        stored = self.parameters.read(*names)
        return next((one for one in names if one in stored and stored[one].value.strip()), "")

    def token_for(self, repository: Repository) -> str:
        """The operator's own token, else the one that is stored for the repository; or ""."""
        return self.own_token() or self.stored_token(repository)

    def stored_token(self, repository: Repository) -> str:
        """The token that Lambda uses for the repository, or ""."""
        return self.stored.report_settings(repository).token


@dataclass(frozen=True)
class StoredTargets:
    """Every target of a stage. `problems` say what could not be parsed, and where."""

    targets: tuple[Target, ...]
    problems: tuple[str, ...]
    settings: Mapping[Repository, StoredReportSettings]

    @property
    def tokens(self) -> Mapping[Repository, str]:
        """Each repository's token, or ""."""
        return {repository: one.token for repository, one in self.settings.items()}

    def named(self, name: str) -> Target:
        """The target of this name. Raises UnavailableError, with the known names."""
        for target in self.targets:
            if target.name == name:
                return target
        known = [target.name for target in self.targets]
        names, near = ", ".join(known), did_you_mean(name, known)
        if self.problems:
            names = f"; there is {names}" if names else ""
            raise UnavailableError(f"{self.why_not_valid}. No other target is {name}{near}{names}")
        if not names:
            raise UnavailableError(
                f"there is no target {name}, and no other: {suggest('targets apply')} stores those "
                "of pulley.toml"
            )
        raise UnavailableError(f"there is no target {name}{near}; there is {names}")

    @property
    def why_not_valid(self) -> str:
        """Why stored targets are not used, and what to do; "" if all are valid."""
        if not self.problems:
            return ""
        return (
            f"stored targets are not valid, and not used: {'; '.join(self.problems)}. Correct them "
            f"in pulley.toml, then: {suggest('targets apply')}"
        )


def read_targets(stage: Stage) -> StoredTargets:
    """Read every stored target.

    Raises RefusedError and UnavailableError, and NoStageError if the stage has no parameters.
    """
    settings = stage.stored.every_repository()
    if not settings:
        check_is_there(stage.name, stage.parameters)
    targets, problems = every_target(settings)
    return StoredTargets(targets, problems, settings)


def _no_profile(name: str) -> UnavailableError:
    """The error for a profile that AWS's configuration does not have."""
    from botocore.session import Session

    known = Session().available_profiles
    there = (
        f"; there is {', '.join(known)}" if known else ", nor any other: aws configure makes one"
    )
    near = did_you_mean(name, known)
    return UnavailableError(f"AWS's configuration has no profile {name}{near}{there}")


def utc_now() -> datetime:
    """The current time, aware."""
    return datetime.now(UTC)
