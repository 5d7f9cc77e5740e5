"""The zip in an empty Lambda: fails if the zip lacks a module that Lambda does not have."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pulley.sandbox.account import Account
from pulley.sandbox.github.server import GitHubServer
from pulley.sandbox.setup import store_document, store_secrets, store_targets
from tests.deploy.project import REGION
from tests.deploy.runtime import Answer, Function, Python, Unpacked
from tests.fakes import GUID, SECRET, STAGE, push_json
from tests.sandbox.repository import TOKEN, commit, git

# As in tests/app: app.py reads its stage when it is imported, and the first import counts.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PULLEY_STAGE", STAGE)
    from tests.app.stage import github_headers, rest_event

pytestmark = pytest.mark.xdist_group("lambda")
FULL_NAME = "octo/site"
TARGET = {
    "name": "web",
    "repository": FULL_NAME,
    "branch": "main",
    "instances": {"tags": {"role": "web"}},
    "checkout": "/srv/there-is-no-checkout",
}
# The event of a rule with a rate: EventBridge User Guide, "Scheduled events".
SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2030-03-10T00:15:00Z",
    "region": REGION,
    "resources": [f"arn:aws:events:{REGION}:123456789012:rule/pulley-dev-reconcile_targets-event"],
    "detail": {},
}

Event = dict[str, Any]
Open = Callable[[str], Function]


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """The events that EventBridge sent."""
    return []


@pytest.fixture(scope="module")
def account(events: list[Event], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account with a host that has no checkout, so that its run fails with a reason."""
    with Account(region=REGION) as opened:
        opened.subscribe(lambda event: events.append(dict(event)))
        store_document(opened.ssm, STAGE)
        store_secrets(opened.ssm, STAGE, webhook_secret=SECRET, github_token=TOKEN)
        store_targets(opened.ssm, STAGE, FULL_NAME, [TARGET])
        tags = {"pulley": STAGE, "role": "web"}
        opened.add_host("web-1", tags=tags, root=tmp_path_factory.mktemp("web-1"))
        yield opened


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upstream") / "site.git"
    subprocess.run(["git", "init", "--quiet", "--bare", path], check=True)
    git(path, "update-ref", "refs/heads/main", commit(path, "first"))
    return path


@pytest.fixture(scope="module")
def tip(repository: Path) -> str:
    return git(repository, "rev-parse", "refs/heads/main")


@pytest.fixture(scope="module")
def github(repository: Path) -> Iterator[GitHubServer]:
    with GitHubServer({FULL_NAME: repository}, token=TOKEN) as opened:
        yield opened


@pytest.fixture(scope="module")
def function(
    unpacked: Unpacked,
    python: Python,
    account: Account,
    github: GitHubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Open]:
    """Starts a function, by its name in app.py, when a test first needs it."""
    opened: dict[str, Function] = {}
    logs = tmp_path_factory.mktemp("logs")

    def open_function(name: str) -> Function:
        if name not in opened:
            opened[name] = Function(
                unpacked.task_root,
                python,
                unpacked.functions[name],
                environ=account.environ | {"PULLEY_GITHUB_API": github.api_url},
                log=logs / name,
            )
        return opened[name]

    yield open_function
    for one in opened.values():
        one.close()


@pytest.fixture(scope="module")
def pushed(function: Open, account: Account, events: list[Event], tip: str) -> dict[str, Any]:
    """The webhook's answer to a push whose command has ended."""
    body = json.dumps(push_json(after=tip)).encode()
    answer = function("app").invoke(rest_event(github_headers(body), body.decode()))
    assert answer.kind == "response", answer
    assert answer.body["statusCode"] == 202, answer.body["body"]
    said: dict[str, Any] = json.loads(answer.body["body"])
    account.wait_until_ended(said["deployments"][0]["command_id"])
    account.wait_until_told()
    return said


@pytest.fixture(scope="module")
def reported(function: Open, pushed: dict[str, Any], events: list[Event]) -> Answer:
    command_id = pushed["deployments"][0]["command_id"]
    (ended,) = (
        event
        for event in events
        if event["detail-type"] == "EC2 Command Status-change Notification"
        and event["detail"]["command-id"] == command_id
        and event["detail"]["status"] == "Failed"
    )
    return function("report_status_change").invoke(ended)


class TestPython:
    FIND = (
        "import importlib.util, json, sys\n"
        "specs = {name: importlib.util.find_spec(name) for name in sys.argv[1:]}\n"
        "print(json.dumps({name: spec and spec.origin for name, spec in specs.items()}))"
    )

    def test_python_imports_from_the_zip_and_not_from_this_environment(
        self, python: Python, unpacked: Unpacked
    ) -> None:
        lacking = ("click", "moto", "git", "pulley", "yaml", "werkzeug", "pip", "tests")
        assert all(importlib.util.find_spec(name) for name in lacking)
        wanted = {
            "app": "app.py",
            "chalice": "chalice/__init__.py",
            "chalicelib": "chalicelib/__init__.py",
        }
        printed = subprocess.check_output(
            python.command("-c", self.FIND, *lacking, *wanted),
            cwd=unpacked.task_root,
            env=python.environ,
        )
        places = {name: str(unpacked.task_root / path) for name, path in wanted.items()}
        assert json.loads(printed) == dict.fromkeys(lacking) | places

    def test_python_has_only_boto3_and_its_dependencies(self, python: Python) -> None:
        packages = {path.name for path in python.sdk.iterdir() if "-" not in path.name}
        assert packages == {
            "boto3",
            "botocore",
            "dateutil",
            "jmespath",
            "s3transfer",
            "six.py",
            "urllib3",
        }


class TestWebhook:
    def test_ping_is_answered(self, function: Open) -> None:
        body = json.dumps({"zen": "Design for failure.", "repository": {"full_name": FULL_NAME}})
        headers = github_headers(body.encode(), event="ping")
        answer = function("app").invoke(rest_event(headers, body))
        assert answer.kind == "response"
        assert answer.body["statusCode"] == 200
        assert answer.body["headers"] == {"Content-Type": "application/json"}

    def test_forged_push_is_refused(self, function: Open) -> None:
        body = json.dumps(push_json())
        headers = github_headers(body.encode(), secret="another")
        answer = function("app").invoke(rest_event(headers, body))
        assert answer.body["statusCode"] == 401

    def test_push_is_sent_to_the_host(
        self, account: Account, pushed: dict[str, Any], tip: str
    ) -> None:
        assert (pushed["delivery"], pushed["commit"]) == (GUID, tip)
        (deployment,) = pushed["deployments"]
        assert deployment["target"] == "web"
        (command,) = account.ssm.list_commands(CommandId=deployment["command_id"])["Commands"]
        assert command["TargetCount"] == 1

    def test_push_makes_a_deployment_on_github(
        self, github: GitHubServer, pushed: dict[str, Any], tip: str
    ) -> None:
        assert [one.sha for one in github.deployments(FULL_NAME)] == [tip]


class TestReporter:
    def test_failed_command_is_reported_as_failure(
        self, reported: Answer, pushed: dict[str, Any]
    ) -> None:
        assert reported.kind == "response", reported
        assert reported.body["command_id"] == pushed["deployments"][0]["command_id"]
        assert reported.body["state"] == "failure"
        assert "no checkout" in reported.body["description"]

    def test_failure_is_posted_to_github(self, reported: Answer, github: GitHubServer) -> None:
        (deployment,) = github.deployments(FULL_NAME)
        assert deployment.status
        assert deployment.state == "failure"
        assert deployment.status.description == reported.body["description"]


class TestReconciler:
    def test_scheduled_event_runs_a_whole_round(
        self, function: Open, pushed: dict[str, Any]
    ) -> None:
        reconciler = function("reconcile_targets")
        answer = reconciler.invoke(SCHEDULED)
        assert answer.kind == "response", answer
        assert answer.body["targets"] == 1
        (said,) = (
            line
            for line in map(json.loads, reconciler.log.splitlines())
            if line["about"] == "round"
        )
        assert said["outcome"] == "whole"

    def test_warm_function_answers_a_second_event(self, function: Open) -> None:
        answer = function("reconcile_targets").invoke(SCHEDULED)
        assert answer.kind == "response", answer


class TestIncompleteZip:
    def test_missing_module_fails_the_start_of_the_function(
        self, unpacked: Unpacked, python: Python, tmp_path: Path
    ) -> None:
        """Shows that the tests above can fail."""
        task_root = tmp_path / "task"
        shutil.copytree(unpacked.task_root, task_root)
        (task_root / "chalicelib/edges/journal.py").unlink()
        properties = unpacked.functions["app"]
        log = tmp_path / "log"
        with Function(task_root, python, properties, environ={}, log=log) as function:
            answer = function.answer()
        assert answer.kind == "init/error"
        assert answer.body["errorType"] == "Runtime.ImportModuleError"
        assert "chalicelib.edges.journal" in answer.body["errorMessage"]
