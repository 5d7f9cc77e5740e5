"""`pulley uninstall`: from an empty account to a deploy and back, and what it refuses to take."""

import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result

from pulley.operator.stage.settings import FUNCTIONS
from pulley.sandbox.app.deployed import DeployedApp
from pulley.sandbox.auto_scaling.service import WAITING
from pulley.sandbox.github.fault import Fault
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.app.policies import PROJECT
from tests.cli.conftest import NAMES, Pulley, invoke, json_of, stored
from tests.processes import HANG_SECONDS

TOML = """
[targets.web]
repository = "octo/site"
branch = "main"
instances = { tags = { role = "web" } }
checkout = "/srv/site"
timeout = 30
"""
OTHER_URL = "https://abc.execute-api.eu-west-1.amazonaws.com/prod/github"
PULLEY = str(Path(sys.executable).with_name("pulley"))
KINDS = {"webhook", "launch hook", "rule", "API", "function", "role", "log group", "document"}
KINDS |= {"parameters", "secrets and tokens"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of the test's own, because an uninstall leaves nothing to share."""
    with Sandbox(["web-1"]) as opened:
        yield opened


def pulley_of(sandbox: Sandbox) -> Pulley:
    def run(*arguments: str, stdin: str = "", environ: Mapping[str, str | None] = {}) -> Result:
        return invoke({**sandbox.environ, **environ}, *arguments, stdin=stdin)

    return run


@pytest.fixture
def pulley(sandbox: Sandbox, no_settings: None) -> Pulley:
    return pulley_of(sandbox)


@pytest.fixture(scope="class")
def whole() -> Iterator[Sandbox]:
    """A sandbox for tests that change nothing in it."""
    with Sandbox(["web-1"]) as opened:
        before = what_is_there(opened, "dev")
        yield opened
        assert what_is_there(opened, "dev") == before


def what_is_there(sandbox: Sandbox, stage: str) -> set[str]:
    """What the account and GitHub have of a stage, asked by the test itself, by names."""
    account = sandbox.account
    parameters = account.ssm.get_paginator("describe_parameters").paginate()
    documents = account.ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])
    roles = sandbox.deployed.iam.list_roles()["Roles"]
    functions = sandbox.deployed.functions.list_functions()["Functions"]
    rules = sandbox.deployed.events.list_rules()["Rules"]
    logs = account.client("logs").describe_log_groups()["logGroups"]
    scaling: Any = account.client("autoscaling")
    groups = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    found = {
        *(one["Name"] for page in parameters for one in page["Parameters"]),
        *(one["Name"] for one in documents["DocumentIdentifiers"]),
        *(one["RoleName"] for one in roles),
        *(one["FunctionName"] for one in functions),
        *(one["Name"] for one in rules),
        *(one["logGroupName"] for one in logs),
        *(
            f"pulley-{stage} hook"
            for group in groups
            for one in scaling.describe_lifecycle_hooks(
                AutoScalingGroupName=group["AutoScalingGroupName"]
            )["LifecycleHooks"]
            if one["LifecycleHookName"] == f"pulley-{stage}"
        ),
    }
    ours = (f"/pulley/{stage}/", f"pulley-{stage}", f"/aws/lambda/pulley-{stage}")
    apis = sandbox.deployed.gateway.get_rest_apis()["items"] if stage == "dev" else []
    urls = {one.url for one in sandbox.github.hooks(FULL_NAME)} & {sandbox.webhook.url}
    return {
        *(one for one in found if one.startswith(ours) and not one.startswith(f"{ours[1]}-2")),
        *(one["id"] for one in apis if one["id"] == sandbox.deployed.api_id),
        *(urls if stage == "dev" else ()),
    }


@contextmanager
def refusing(sandbox: Sandbox, is_refused: Callable[[Mapping[str, Any]], bool]) -> Iterator[None]:
    """Let the account refuse some requests, as a policy does that lacks an action."""
    account = sandbox.account

    def answer(environ: Any, start_response: Any) -> Any:  # noqa: ANN401
        if not is_refused(environ):
            return account._answer(environ, start_response)
        words = {"__type": "AccessDeniedException", "message": "no", "Code": "AccessDenied"}
        headers = [("Content-Type", "application/x-amz-json-1.1")]
        headers.append(("x-amzn-errortype", "AccessDeniedException"))
        start_response("403 Forbidden", headers)
        return [json.dumps(words).encode()]

    account._server.app = answer
    try:
        yield
    finally:
        account._server.app = account._answer


def of_action(action: str) -> Callable[[Mapping[str, Any]], bool]:
    """Requests of services that name the action in a header."""
    return lambda environ: environ.get("HTTP_X_AMZ_TARGET", "").endswith(f".{action}")


def of_path(path: str) -> Callable[[Mapping[str, Any]], bool]:
    """Requests that delete something below a path."""
    return lambda environ: environ["REQUEST_METHOD"] == "DELETE" and path in environ["PATH_INFO"]


class TestWalk:
    """The way of docs/getting-started.md, and back."""

    def test_stage_is_set_up_deployed_to_and_taken_away_and_the_other_one_stays(
        self, no_settings: None, tmp_path: Path
    ) -> None:
        (tmp_path / "pulley.toml").write_text(TOML)
        file = str(tmp_path / "pulley.toml")
        with Sandbox(["web-1"], empty=True) as sandbox:
            pulley, account = pulley_of(sandbox), sandbox.account
            token = str(sandbox.directory / "github-token")
            DeployedApp(account, stage="prod", environ={})
            assert pulley("setup", "--yes", "--stage", "prod").exit_code == 0
            for stage in ("dev", "dev-2"):
                account.ssm.put_parameter(
                    Name=f"/pulley/{stage}-2/reconcile", Value="{}", Type="String"
                )
            assert pulley("setup", "--yes", "--github-token-file", token).exit_code == 0
            assert pulley("targets", "apply", "--yes", file).exit_code == 0
            assert pulley("connect", FULL_NAME, "--yes").exit_code == 0
            other = sandbox.github.add_hook(FULL_NAME, OTHER_URL)
            account.client("logs").create_log_group(logGroupName="/aws/lambda/pulley-dev")
            commit = sandbox.commit({"index.html": "<h1>Mine</h1>"}, "Mine")
            sandbox.developer.git.push("-q")
            sandbox.wait_until_quiet()
            (machine,) = sandbox.machines
            assert machine.head() == commit

            before = what_is_there(sandbox, "prod")
            assert {"pulley-prod", "pulley-prod-pull", "/pulley/prod/webhook-secret"} <= before
            assert len(what_is_there(sandbox, "dev")) > 15

            done = pulley("uninstall", "--yes")
            assert done.exit_code == 0, done.output
            assert "Nothing is left of stage dev, account 123456789012, eu-west-1." in done.stdout
            assert what_is_there(sandbox, "dev") == set()
            assert what_is_there(sandbox, "prod") == before
            assert account.ssm.get_parameter(Name="/pulley/dev-2/reconcile")
            assert [one.id for one in sandbox.github.hooks(FULL_NAME)] == [other.id]
            assert machine.head() == commit
            assert (machine.checkout / ".git/pulley/deployed").exists()

            again = pulley("uninstall", "--yes")
            assert again.exit_code == 0
            assert "Nothing to do: nothing is left of stage dev" in again.stdout
            assert "prod" in again.stderr
            assert pulley("uninstall", "--yes", "--stage", "prdo").exit_code == 0
            assert what_is_there(sandbox, "prod") == before


class TestAsking:
    @pytest.fixture
    def sandbox(self, whole: Sandbox) -> Sandbox:
        return whole

    def test_plan_names_everything_and_changes_nothing(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        done = pulley("uninstall", "--dry-run")
        assert done.exit_code == 0
        assert all(one in done.stdout for one in what_is_there(sandbox, "dev"))
        assert "Removed" not in done.stdout

    def test_without_a_terminal_and_without_yes_nothing_is_changed(self, pulley: Pulley) -> None:
        done = pulley("uninstall")
        assert (done.exit_code, "Pass --yes to do it" in done.stderr) == (4, True)

    def test_frozen_target_is_named_first(self, sandbox: Sandbox, pulley: Pulley) -> None:
        with stored(sandbox, NAMES.pin("web"), '{"state": "frozen", "reason": "the fair"}'):
            done = pulley("uninstall", "--dry-run")
        assert "web is frozen: the fair" in done.stderr

    def test_url_that_is_none_is_a_wrong_command_line(self, pulley: Pulley) -> None:
        done = pulley("uninstall", "--url", "ftp://example.com")
        assert (done.exit_code, "must be https" in done.stderr) == (2, True)

    def test_yes_is_no_confirmation_but_the_stage_s_name_is(self, sandbox: Sandbox) -> None:
        said, code = on_a_terminal(sandbox, "y\n")
        assert (code, "Nothing was changed" in said) == (4, True)
        assert "To confirm, type dev" in said


class TestUnderWay:
    def test_deployment_is_not_cut_unless_forced(self, sandbox: Sandbox, pulley: Pulley) -> None:
        (machine,) = sandbox.machines
        machine.host.sleep()
        assert pulley("deploy", "web", "--yes", "--no-wait").exit_code == 0
        before = what_is_there(sandbox, "dev")
        done = pulley("uninstall", "--yes")
        assert (done.exit_code, "is being deployed to web" in done.stderr) == (1, True)
        assert what_is_there(sandbox, "dev") == before
        assert pulley("uninstall", "--yes", "--force").exit_code == 0
        assert what_is_there(sandbox, "dev") == set()
        machine.host.wake()

    def test_deployment_that_begins_meanwhile_is_waited_for(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        """It begins when the webhook is gone, but before the functions go."""
        (machine,) = sandbox.machines
        machine.host.sleep()
        sent: list[object] = []

        def send(environ: Mapping[str, Any]) -> bool:
            if of_action("DeleteRule")(environ) and not sent:
                sent.append(pulley_of(sandbox)("deploy", "web", "--yes", "--no-wait").exit_code)
            return False

        with refusing(sandbox, send):
            done = pulley("uninstall", "--yes")
        assert sent == [0]
        assert (done.exit_code, "a deployment began meanwhile" in done.stderr) == (1, True)
        rest = what_is_there(sandbox, "dev")
        assert {"pulley-dev", "pulley-dev-pull", "pulley-dev-report_status_change-event"} <= rest
        assert sandbox.webhook.url not in rest
        machine.host.wake()
        sandbox.wait_until_quiet()
        assert pulley("uninstall", "--yes").exit_code == 0
        assert what_is_there(sandbox, "dev") == set()

    def test_launch_hook_goes_but_not_while_it_holds_an_instance(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        sandbox.make_group("fleet", hook_seconds=7200)
        (instance_id,) = sandbox.scale_out("fleet")
        assert sandbox.account.auto_scaling.state_of(instance_id) == WAITING
        done = pulley("uninstall", "--yes")
        assert done.exit_code == 1
        assert f"{instance_id} of fleet is being launched" in done.stderr
        assert "pulley-dev hook" in what_is_there(sandbox, "dev")
        done = pulley("uninstall", "--yes", "--force")
        assert (done.exit_code, what_is_there(sandbox, "dev")) == (0, set())
        assert "aws autoscaling delete-tags --tags ResourceId=fleet" in done.stdout


class TestFailure:
    def test_after_a_refusal_at_any_step_the_next_run_goes_on(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        account = sandbox.account
        sandbox.make_group("fleet", hook_seconds=60)
        account.client("logs").create_log_group(logGroupName="/aws/lambda/pulley-dev")
        # Services of the query protocol name the action in the body, which is read by then.
        steps: Sequence[tuple[str, Callable[[Mapping[str, Any]], bool]]] = [
            ("rule", of_action("DeleteRule")),
            ("API", of_path("/restapis/")),
            ("function", of_path("/functions/pulley-dev")),
            ("log group", of_action("DeleteLogGroup")),
            ("document", of_action("DeleteDocument")),
            ("parameters", of_action("DeleteParameters")),
        ]
        sandbox.github.fault = lambda method, _: Fault(500) if method == "DELETE" else None
        done = pulley("uninstall", "--yes")
        assert done.exit_code == 1
        assert there(pulley) == KINDS
        sandbox.github.fault = None
        for what, is_refused in steps:
            with refusing(sandbox, is_refused):
                done = pulley("uninstall", "--yes")
            assert (done.exit_code, what in done.stderr) == (1, True), done.output
            assert "AWS refused " in done.stderr
            assert sandbox.webhook.url not in what_is_there(sandbox, "dev")
            assert NAMES.github_token in what_is_there(sandbox, "dev")
        assert pulley("uninstall", "--yes").exit_code == 0
        assert what_is_there(sandbox, "dev") == set()

    def test_token_that_may_not_delete_webhooks_stops_the_rest(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        sandbox.github.permissions |= {"webhooks": "read"}
        before = what_is_there(sandbox, "dev")
        done = pulley("uninstall", "--yes")
        assert done.exit_code == 1
        assert "Give a token with the permission Webhooks: write in GITHUB_TOKEN" in done.stderr
        assert what_is_there(sandbox, "dev") == before
        (hook,) = sandbox.github.hooks(FULL_NAME)
        sandbox.github._hooks[FULL_NAME].delete(hook.id)  # by hand
        said, code = on_a_terminal(sandbox, "dev\n")
        assert code == 0, said
        assert what_is_there(sandbox, "dev") == set()


class TestLeft:
    def test_webhook_is_neither_guessed_without_the_url_nor_deleted_without_a_token(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        sandbox.deployed.gateway.delete_rest_api(restApiId=sandbox.deployed.api_id)
        unknown = {"PULLEY_WEBHOOK_URL": None}
        done = pulley("uninstall", "--dry-run", environ=unknown)
        assert "the stage's URL is not known" in done.stdout
        assert "- webhook" not in done.stdout
        done = pulley("uninstall", "--dry-run", "--url", sandbox.webhook.url, environ=unknown)
        assert f"- webhook: {FULL_NAME}: {sandbox.webhook.url}" in done.stdout
        sandbox.account.ssm.delete_parameter(Name="/pulley/dev/github-token")
        done = pulley("uninstall", "--yes")
        assert done.exit_code == 0
        assert "there is no token for it" in done.stdout
        assert f"{FULL_NAME}/settings/hooks" in done.stdout
        assert what_is_there(sandbox, "dev") == {sandbox.webhook.url}

    def test_url_of_a_stage_of_the_same_name_in_another_account_is_not_taken_for_the_stage_s(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        """The shell, or .chalice/deployed, has what the last deploy made, wherever that was."""
        sandbox.github.add_hook(FULL_NAME, OTHER_URL)
        known = {"PULLEY_WEBHOOK_URL": OTHER_URL}
        done = pulley("uninstall", "--dry-run", environ=known)
        assert "- webhook" not in done.stdout
        sandbox.deployed.gateway.delete_rest_api(restApiId=sandbox.deployed.api_id)
        done = pulley("uninstall", "--dry-run", environ=known)
        assert "- webhook" not in done.stdout
        assert f"it posts to {OTHER_URL}, and the stage's URL is not known" in done.stdout
        done = pulley("uninstall", "--dry-run", "--url", OTHER_URL, environ=known)
        assert f"- webhook: {FULL_NAME}: {OTHER_URL}" in done.stdout

    def test_webhook_that_posts_to_the_stage_s_api_needs_no_known_url(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        sandbox.github.add_hook(FULL_NAME, f"{sandbox.deployed.api_url}github")
        sandbox.github.add_hook(FULL_NAME, OTHER_URL)
        done = pulley("uninstall", "--yes", environ={"PULLEY_WEBHOOK_URL": None})
        assert done.exit_code == 0
        urls = [one.url for one in sandbox.github.hooks(FULL_NAME)]
        assert urls == [sandbox.webhook.url, OTHER_URL]

    def test_what_is_not_the_stage_s_stays_and_is_named(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        account = sandbox.account
        account.ssm.put_parameter(Name="/pulley/dev/mine", Value="x", Type="String")
        sandbox.deployed.functions.update_function_configuration(
            FunctionName="pulley-dev-receive_launch",
            Environment={"Variables": {"PULLEY_STAGE": "other"}},
        )
        sandbox.deployed.events.put_targets(
            Rule="pulley-dev-reconcile_targets-event",
            Targets=[{"Id": "mine", "Arn": "arn:aws:lambda:eu-west-1:123456789012:function:mine"}],
        )
        # Terraform gives the rules other names: they are ours by what they call.
        sandbox.deployed.events.put_rule(Name="pulley-dev_own", ScheduleExpression="rate(1 day)")
        arn = sandbox.deployed.functions.get_function(FunctionName="pulley-dev-reconcile_targets")
        sandbox.deployed.events.put_targets(
            Rule="pulley-dev_own",
            Targets=[{"Id": "1", "Arn": arn["Configuration"]["FunctionArn"]}],
        )
        api = sandbox.deployed.api_id
        add_route(sandbox, "mine")
        shared = sandbox.github.add_hook(FULL_NAME, f"{sandbox.deployed.api_url}mine/github")
        stays = {
            api,
            "/pulley/dev/mine",
            "pulley-dev-receive_launch",  # the function, and the role that it needs
            "pulley-dev-receive_launch-event",
            "pulley-dev-reconcile_targets-event",
        }
        done = pulley("uninstall", "--yes")
        assert done.exit_code == 0
        assert what_is_there(sandbox, "dev") == stays
        assert all(one.removesuffix("launch-event") in done.stdout for one in stays)
        assert "with its rules, role, logs and API" in done.stdout
        assert [one.id for one in sandbox.github.hooks(FULL_NAME)] == [shared.id]

    def test_app_whose_functions_are_another_stage_s_stays_whole(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        """Chalice's stage is dev, and PULLEY_STAGE is prod: all that is named dev serves prod."""
        names = {"pulley-dev", *(f"pulley-dev-{one}" for one in FUNCTIONS[1:])}
        for name in names:
            sandbox.deployed.functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": {"PULLEY_STAGE": "prod"}}
            )
        sandbox.github.add_hook(FULL_NAME, f"{sandbox.deployed.api_url}github")
        app = {one for one in what_is_there(sandbox, "dev") if one.startswith("pulley-dev")}
        app = {*app - {"pulley-dev-pull"}, sandbox.deployed.api_id}
        done = pulley("uninstall", "--yes", environ={"PULLEY_WEBHOOK_URL": None})
        assert done.exit_code == 0, done.output
        assert "its PULLEY_STAGE is prod, so it is another stage's" in done.stdout
        assert what_is_there(sandbox, "dev") == {*app, sandbox.webhook.url}
        assert len(sandbox.github.hooks(FULL_NAME)) == 2

    def test_roles_that_a_stage_of_another_region_has_too_stay(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        function = sandbox.deployed.functions.get_function(FunctionName="pulley-dev")
        account = sandbox.account
        session = boto3.Session(
            account.environ["AWS_ACCESS_KEY_ID"],
            account.environ["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-2",
        )
        other = session.client("lambda", endpoint_url=account.endpoint_url)
        other.create_function(
            FunctionName="pulley-dev",
            Role=function["Configuration"]["Role"],
            Code={"ZipFile": b"x"},
            Runtime="python3.12",
            Handler="app.app",
        )
        other.close()
        done = pulley("uninstall", "--yes")
        assert done.exit_code == 0
        assert "functions of a stage dev in us-east-2 have them, too" in done.stdout
        roles = {one["RoleName"] for one in sandbox.deployed.iam.list_roles()["Roles"]}
        assert what_is_there(sandbox, "dev") == roles
        assert len(roles) == 4


def add_route(sandbox: Sandbox, function: str) -> None:
    """Let the stage's API call another function, too."""
    gateway, api = sandbox.deployed.gateway, sandbox.deployed.api_id
    root = next(one for one in gateway.get_resources(restApiId=api)["items"] if one["path"] == "/")
    made = gateway.create_resource(restApiId=api, parentId=root["id"], pathPart=function)
    gateway.put_method(
        restApiId=api, resourceId=made["id"], httpMethod="POST", authorizationType="NONE"
    )
    arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{function}"
    gateway.put_integration(
        restApiId=api,
        resourceId=made["id"],
        httpMethod="POST",
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{arn}/invocations",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="the command is root's, as the SSM agent runs it")
class TestHosts:
    def test_printed_command_removes_the_notes_and_keeps_what_was_saved(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        (machine,) = sandbox.machines
        assert pulley("deploy", "web", "--yes").exit_code == 0
        git(machine, "update-ref", "refs/pulley/saved/20261120T231213Z-802-1", "HEAD")
        assert "refs/pulley/deployed/" in git(machine, "for-each-ref", "refs/pulley")
        planned = json_of(pulley("uninstall", "--dry-run", "--json"))
        assert (planned["done"], planned["remaining"]) == ([], None)
        done = json_of(pulley("uninstall", "--yes", "--json"))
        assert [one["name"] for one in done["done"]] == [one["name"] for one in planned["removals"]]
        assert done["remaining"] == []
        assert sandbox.token not in json.dumps(done)
        (left,) = done["on_hosts"]
        *words, parameters = shlex.split(left["command"])
        sent = "aws ssm send-command --document-name AWS-RunShellScript"
        hosts = "--targets Key=tag:pulley,Values=dev Key=tag:role,Values=web"
        assert words == [*sent.split(), *hosts.split(), "--parameters"]
        script = "\n".join(json.loads(parameters)["commands"])
        script = script.replace("/srv/site", str(machine.checkout))
        head = machine.head()
        subprocess.run(["sh", "-c", script], check=True)
        assert not (machine.checkout / ".git/pulley").exists()
        refs = git(machine, "for-each-ref", "--format=%(refname)", "refs/pulley").split()
        assert refs == ["refs/pulley/saved/20261120T231213Z-802-1"]
        page = (PROJECT / "docs/host.md").read_text().partition("### Without Pulley")[2]
        by_hand = page.partition("```sh\n")[2].partition("```")[0]
        subprocess.run(
            ["runuser", "-u", machine.checkout.owner(), "--", "sh", "-ec", by_hand],
            cwd=machine.checkout,
            check=True,
            capture_output=True,
        )
        assert git(machine, "for-each-ref", "refs/pulley") == ""
        assert (machine.head(), git(machine, "status", "--porcelain")) == (head, "")


def on_a_terminal(sandbox: Sandbox, typed: str) -> tuple[str, int]:
    """Run `pulley uninstall` with a terminal as stdin. Returns what it printed, and its code."""
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    done = subprocess.run(
        [PULLEY, "uninstall"],
        env=os.environ | sandbox.environ,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=HANG_SECONDS,
    )
    os.close(ours)
    os.close(theirs)
    return done.stdout, done.returncode


def git(machine: Machine, *arguments: str) -> str:
    """Run git on a host, as the checkout's owner."""
    as_owner = ["runuser", "-u", machine.checkout.owner(), "--"]
    command = ["git", "-C", str(machine.checkout), *arguments]
    return subprocess.check_output([*as_owner, *command], text=True)


def there(pulley: Pulley) -> set[str]:
    """Which kinds of things are still there."""
    return {one["what"] for one in json_of(pulley("uninstall", "--dry-run", "--json"))["removals"]}
