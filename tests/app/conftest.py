"""The app under its stage, an AWS account for it, and a GitHub."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import botocore.session
import pytest
from moto import mock_aws
from moto.ssm.responses import SimpleSystemManagerResponse

from pulley.host.build import build
from pulley.host.document import build_document, document_text
from pulley.sandbox.github.server import GitHubServer
from tests.fakes import NAMES, SECRET, SITE, STAGE, Wire, targets_text

# Lambda has the stage's variables before app.py is imported, which reads its stage there.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PULLEY_STAGE", STAGE)
    from tests.app.run_command import RunCommand, Sent, result_line
    from tests.app.stage import REGION, TOKEN, URL, Log, Stage, forget_warm_clients

AddHost = Callable[..., str]
PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def document() -> str:
    return document_text(build_document(build()))


@pytest.fixture(scope="module")
def session() -> botocore.session.Session:
    """One session for all tests: to read AWS's models takes longer than anything else here."""
    return botocore.session.get_session()


@pytest.fixture
def stage(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    document: str,
    session: botocore.session.Session,
) -> Iterator[Stage]:
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_PROFILE",
        "PULLEY_ALLOW_SHA1",
        "PULLEY_GITHUB_API",
        "PULLEY_TOPIC_ARN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("PULLEY_STAGE", STAGE)
    # Nobody listens at this address. A test with a GitHub sets its own.
    monkeypatch.setenv("PULLEY_GITHUB_API", "http://127.0.0.1:9")
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))
    wire = Wire()
    with mock_aws():
        boto3.setup_default_session(botocore_session=session)
        ssm = boto3.client("ssm", endpoint_url=URL)
        # The app's clients come from this session, so the wire sees each of their calls.
        wire.attach(session)
        wire.attach(session, "lambda")
        forget_warm_clients()
        stage = Stage(ssm, wire, Log(capsys))
        ssm.create_document(
            Name="pulley-dev-pull", Content=document, DocumentType="Command", DocumentFormat="JSON"
        )
        stage.store(NAMES.webhook_secret, SECRET)
        stage.store(NAMES.targets(SITE), targets_text())
        yield stage
    wire.detach(session)
    wire.detach(session, "lambda")
    boto3.DEFAULT_SESSION = None
    forget_warm_clients()
    stage.check_log()


@pytest.fixture
def run_command(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    # moto also sees the calls that the wire answers, and does not implement all of them.
    for operation in ("list_command_invocations", "describe_instance_information", "send_command"):
        monkeypatch.setattr(
            SimpleSystemManagerResponse, operation, lambda _self: "{}", raising=False
        )
    run_command = RunCommand()
    stage.wire.reply = run_command.reply
    return run_command


@pytest.fixture
def add_host(run_command: RunCommand) -> AddHost:
    """Run an instance of the stage. Gives its id. Its agent answers if `is_awake`."""
    ec2 = boto3.client("ec2")

    def add(name: str, role: str = "web", *, is_awake: bool = True, stage: str = "dev") -> str:
        tags = {"Name": name, "role": role, "pulley": stage}
        answer = ec2.run_instances(
            ImageId="ami-00000000",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                }
            ],
        )
        instance_id = answer["Instances"][0]["InstanceId"]
        if is_awake:
            run_command.online.append(instance_id)
        return instance_id

    return add


@pytest.fixture
def pushed(stage: Stage, run_command: RunCommand, commit: str, add_host: AddHost) -> Sent:
    """The command of a push that succeeded on web-1."""
    id_ = add_host("web-1")
    stage.push(after=commit)
    (sent,) = run_command.commands
    sent.add_host(result_line(commit), instance_id=id_, name="web-1")
    sent.end()
    return sent


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "--git-dir", path, "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with two commits on `main`."""
    path = tmp_path_factory.mktemp("github") / "site.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True)
    tree = git(path, "hash-object", "-t", "tree", "-w", "/dev/null")
    first = git(path, "commit-tree", tree, "-m", "first")
    git(
        path,
        "update-ref",
        "refs/heads/main",
        git(path, "commit-tree", tree, "-p", first, "-m", "2"),
    )
    return path


@pytest.fixture
def commit(repository: Path) -> str:
    """The tip of `main`."""
    return git(repository, "rev-parse", "main")


@pytest.fixture
def parent(repository: Path) -> str:
    """The commit before the tip."""
    return git(repository, "rev-parse", "main~1")


@pytest.fixture
def github(
    stage: Stage, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GitHubServer]:
    """A GitHub for which the stage has a token."""
    with GitHubServer({"octo/site": repository}, token=TOKEN) as github:
        monkeypatch.setenv("PULLEY_GITHUB_API", github.api_url)
        stage.store(NAMES.github_token, TOKEN)
        yield github
