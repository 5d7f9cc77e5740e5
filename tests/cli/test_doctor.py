"""`pulley doctor` finds each planted fault and names the fix."""

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.stub import Stubber
from moto.iam.aws_managed_policies import aws_managed_policies_data

from chalicelib.core.commands import document_name
from chalicelib.core.errors import RefusedError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames, StoredReportSettings
from chalicelib.edges.command_history import CommandHistory
from pulley.host.build import build
from pulley.host.document import build_document
from pulley.operator.aws.document import Documents
from pulley.operator.aws.parameters import Parameters
from pulley.operator.doctor.host_roles import HostRoles
from pulley.operator.doctor.row import Row, passed, rows_of
from pulley.operator.doctor.stored import Stored
from pulley.operator.stage.stage import StoredTargets
from pulley.sandbox.app.deployed import RECONCILER, REPORTER, WEBHOOK
from pulley.sandbox.github.server import HookDelivery, HostedHook
from pulley.sandbox.hosts.users import AS_ROOT, give_to_owner
from pulley.sandbox.sandbox import FULL_NAME, STAGE, TAGS, Sandbox
from tests.cli.conftest import NAMES, TARGETS, Pulley, json_of, stored
from tests.fakes import SITE

HOSTS_POLICY = "AmazonSSMManagedInstanceCore"


class Planter:
    """Breaks parts of a sandbox, and restores them at the end."""

    def __init__(self, sandbox: Sandbox, undo: ExitStack) -> None:
        self.sandbox = sandbox
        self.undo = undo
        self.ssm, self.deployed = sandbox.account.ssm, sandbox.deployed

    def store(self, name: str, value: str | None, *, secret: bool = False) -> None:
        """Store or replace a parameter; None deletes it."""
        if name == NAMES.webhook_secret:
            # The restored secret is newer than the ping that proved it, so add another ping.
            self.undo.callback(self.take_ping)
        self.undo.enter_context(stored(self.sandbox, name, value, secret=secret))

    def take_ping(self) -> None:
        (hook,) = self.sandbox.github.hooks(FULL_NAME)
        guid = f"planted-{len(hook.deliveries)}"
        hook.deliveries = [*hook.deliveries, HookDelivery(guid, "ping", datetime.now(UTC))]

    def retarget(self, **changes: object) -> None:
        self.store(TARGETS, json.dumps([{**self.sandbox.target, **changes}]))

    def deployed_again(self) -> None:
        self.undo.callback(self.deployed.restore)

    # --- stored parameters ---

    def no_secret(self) -> None:
        self.store(NAMES.webhook_secret, None)

    def blank_secret(self) -> None:
        self.store(NAMES.webhook_secret, " \n ", secret=True)

    def guessable_secret(self) -> None:
        self.store(NAMES.webhook_secret, "secret", secret=True)

    def unfinished_rotation(self) -> None:
        two = "n" * 64 + "\n" + self.sandbox.secret.decode()
        self.store(NAMES.webhook_secret, two, secret=True)

    def new_secret(self) -> None:
        self.undo.callback(self.take_ping)
        hook = self.hook()
        before = datetime.now(UTC) - timedelta(hours=1)
        hook.deliveries = [replace(one, delivered_at=before) for one in hook.deliveries]
        self.store(NAMES.webhook_secret, "n" * 64, secret=True)

    def edited_document(self) -> None:
        content = {**build_document(build()), "description": "edited by hand"}
        name = document_name(STAGE)
        version = Documents(self.ssm, name).update(content).version
        self.undo.callback(self.ssm.delete_document, Name=name, DocumentVersion=version)

    def document_of_a_newer_release(self) -> None:
        """Stored and pinned, as that release's own setup leaves it."""
        content = {**build_document(build()), "description": "Pulley/99.0.0 does more."}
        name = document_name(STAGE)
        pin = Documents(self.ssm, name).update(content).pin
        self.undo.callback(self.ssm.delete_document, Name=name, DocumentVersion=pin.version)
        self.store(NAMES.document, json.dumps({"version": pin.version, "hash": pin.hash}))

    def no_document_pin(self) -> None:
        self.store(NAMES.document, None)

    def unreadable_document_pin(self) -> None:
        self.store(NAMES.document, "version 1")

    def document_pin_of_a_missing_version(self) -> None:
        self.store(NAMES.document, json.dumps({"version": "77", "hash": "0" * 64}))

    def targets_that_are_not_valid(self) -> None:
        self.retarget(checkout="srv/site", nmae="web")

    def two_targets_in_one_checkout(self) -> None:
        self._second_target(checkout="/srv//site/")

    def two_targets_that_meet_on_a_host(self) -> None:
        self._second_target(instances={"tags": {"Name": "web-2"}})

    def _second_target(self, **changes: object) -> None:
        other = {**self.sandbox.target, "name": "other", "environment": "other", **changes}
        self.store(TARGETS, json.dumps([self.sandbox.target, other]))

    def unreadable_pin(self) -> None:
        self.store(NAMES.pin("web"), "frozen")

    def frozen(self) -> None:
        self.store(NAMES.pin("web"), json.dumps({"state": "frozen", "reason": "a holiday"}))

    def no_token(self) -> None:
        self.store(NAMES.github_token, None)

    def gates_without_a_token(self) -> None:
        self.retarget(checks=["test"])
        self.no_token()

    def every_check_with_a_token_that_reads_none(self) -> None:
        self.retarget(checks=True)

    # --- the hosts ---

    def no_host(self) -> None:
        self.retarget(instances={"tags": {"role": "nobody"}})

    def untagged(self) -> None:
        tags = {key: value for key, value in TAGS.items() if key != "pulley"}
        machine = self.sandbox.add_machine("web-9", tags=tags)
        self.undo.callback(self.sandbox.terminate_machine, machine)

    def sleeping(self) -> None:
        host = self.sandbox.machines[1].host
        host.sleep()
        self.undo.callback(host.wake)

    def old_agent(self) -> None:
        machine = self.sandbox.add_machine("web-8", agent_version="3.2.1705.0")
        self.undo.callback(self.sandbox.terminate_machine, machine)

    def root_s_checkout(self) -> None:
        machine = self.sandbox.add_machine("web-7", is_root_s=True)
        self.undo.callback(self.sandbox.terminate_machine, machine)

    def another_remote(self) -> None:
        git = self.sandbox.machines[1].git
        url = git("remote", "get-url", "origin")
        git("remote", "set-url", "origin", url.replace("octo/site", "octo/other"))
        self.undo.callback(git, "remote", "set-url", "origin", url)

    def old_git(self) -> None:
        self.sandbox.machines[1].age_git("2.17.1")
        self.undo.callback(self.sandbox.machines[1].remove_program, "git")

    def full_disk(self) -> None:
        self.sandbox.machines[1].fill_disk()
        self.undo.callback(self.sandbox.machines[1].remove_program, "df")

    def killed_in_its_steps(self) -> None:
        """A run was killed before its steps were done; HEAD is at the wanted commit."""
        state = self.sandbox.machines[0].checkout / ".git/pulley"
        if not state.exists():
            state.mkdir()
            self.undo.callback(shutil.rmtree, state)
        (state / "begun").write_text("x\n")
        give_to_owner(state)
        self.undo.callback((state / "begun").unlink)

    def role_that_reads_secrets(self) -> None:
        """Give a host's role AWS's own policy, which may read secrets."""
        self.deployed_again()
        iam, ec2 = self.deployed.iam, self.sandbox.account.ec2
        iam.create_role(RoleName="web-host", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="web")
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web-host")
        # The emulated account lacks AWS's own policies, so make one with the same text.
        document = json.dumps(json.loads(aws_managed_policies_data)[HOSTS_POLICY]["Document"])
        policy = iam.create_policy(PolicyName=HOSTS_POLICY, PolicyDocument=document)["Policy"]
        iam.attach_role_policy(RoleName="web-host", PolicyArn=policy["Arn"])
        made = ec2.associate_iam_instance_profile(
            InstanceId=self.sandbox.machines[1].host.instance_id, IamInstanceProfile={"Name": "web"}
        )
        association = made["IamInstanceProfileAssociation"]["AssociationId"]
        self.undo.callback(ec2.disassociate_iam_instance_profile, AssociationId=association)

    # --- resources that chalice deployed ---

    def no_function(self) -> None:
        self.deployed_again()
        name = self.deployed.function_name(REPORTER)
        self.deployed.functions.delete_function(FunctionName=name)

    def function_of_another_stage(self) -> None:
        self.deployed_again()
        self.deployed.functions.update_function_configuration(
            FunctionName=self.deployed.function_name(WEBHOOK),
            Environment={"Variables": {"PULLEY_STAGE": "prod"}},
        )

    def wider_policy(self) -> None:
        self.deployed_again()
        everything = {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}
        self.deployed.iam.put_role_policy(
            RoleName=self.deployed.role_name(WEBHOOK),
            PolicyName="more",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
        )

    def attached_policy(self) -> None:
        self.deployed_again()
        everything = {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        policy = self.deployed.iam.create_policy(PolicyName="wide", PolicyDocument=document)
        role, arn = self.deployed.role_name(WEBHOOK), policy["Policy"]["Arn"]
        self.deployed.iam.attach_role_policy(RoleName=role, PolicyArn=arn)
        self.undo.callback(self.deployed.iam.delete_policy, PolicyArn=arn)
        self.undo.callback(self.deployed.iam.detach_role_policy, RoleName=role, PolicyArn=arn)

    def narrower_policy(self) -> None:
        self.deployed_again()
        role = self.deployed.role_name(RECONCILER)
        self.deployed.iam.delete_role_policy(RoleName=role, PolicyName=role)

    def no_rule(self) -> None:
        self.deployed_again()
        rule = self.deployed.rule_name(REPORTER)
        self.deployed.events.remove_targets(Rule=rule, Ids=["1"])
        self.deployed.events.delete_rule(Name=rule)

    def disabled_schedule(self) -> None:
        self.deployed_again()
        self.deployed.events.disable_rule(Name=self.deployed.rule_name(RECONCILER))

    # --- GitHub ---

    def unknown_token_of_the_repository_s_own(self) -> None:
        name = NAMES.repository_github_token(Repository.parse(FULL_NAME))
        self.store(name, "github_pat_of_nobody", secret=True)

    def token_without(self, permission: str) -> None:
        github = self.sandbox.github
        self.undo.callback(setattr, github, "permissions", github.permissions)
        github.permissions = {
            name: level for name, level in github.permissions.items() if name != permission
        }

    def token_without_deployments(self) -> None:
        self.token_without("deployments")

    def token_without_contents(self) -> None:
        self.token_without("contents")

    def token_without_webhooks(self) -> None:
        self.token_without("webhooks")

    def token_without_the_repository(self) -> None:
        self.token_without("metadata")

    def hook(self) -> HostedHook:
        """The repository's only webhook; it is restored afterwards."""
        (hook,) = self.sandbox.github.hooks(FULL_NAME)
        for name in ("config", "events", "active", "deliveries"):
            self.undo.callback(setattr, hook, name, getattr(hook, name))
        return hook

    def inactive_hook(self) -> None:
        self.hook().active = False

    def hook_of_other_events(self) -> None:
        self.hook().events = ("issues",)

    def hook_to_elsewhere(self) -> None:
        hook = self.hook()
        hook.config = replace(hook.config, url="https://elsewhere.example.com/dev/github")

    def red_deliveries(self) -> None:
        hook, now = self.hook(), datetime.now(UTC)
        lost = HookDelivery("lost", "push", now + timedelta(seconds=2), 401, "Unauthorized")
        hook.deliveries = [*hook.deliveries, lost]


Plant = Callable[[Planter], None]
Fault = tuple[Plant, str, str, str]
TOKEN, WEBHOOK_ROW = "GitHub token, octo/site", "webhook of octo/site"
WEB_2 = "host web-2: /srv/site"
# The fault, the row that shows it, the row's outcome, and what the fix must name. Faults that do
# not hide each other are planted together, because a `pulley doctor` makes fifty checks.
# `make soak` plants each of them alone.
FAULTS: list[list[Fault]] = [
    [
        (Planter.no_secret, "webhook secret", "fail", "pulley setup"),
        (Planter.edited_document, "document", "warn", "pulley setup"),
        (Planter.targets_that_are_not_valid, "targets", "fail", "pulley targets apply"),
        (Planter.no_token, "GitHub token", "warn", "pulley setup --github-token-file"),
        (
            Planter.role_that_reads_secrets,
            "hosts' role web-host",
            "warn",
            "aws iam put-role-policy --role-name web-host --policy-name no-pulley-secrets",
        ),
        (Planter.no_function, "Lambda pulley-dev-report_status_change", "fail", "chalice deploy"),
        (Planter.function_of_another_stage, "Lambda pulley-dev", "fail", "chalice deploy"),
        (
            Planter.wider_policy,
            "role of pulley-dev",
            "fail",
            "aws iam delete-role-policy --role-name",
        ),
        (Planter.narrower_policy, "role of pulley-dev-reconcile_targets", "fail", "chalice deploy"),
        (Planter.disabled_schedule, "rule of pulley-dev-reconcile_targets", "fail", "enable-rule"),
    ],
    [
        (Planter.blank_secret, "webhook secret", "fail", "pulley setup"),
        (Planter.no_document_pin, "document's pin", "warn", "pulley setup"),
        (Planter.unreadable_pin, "pin of web", "fail", "pulley unpin web"),
        (Planter.no_host, "target web: hosts", "fail", "tag the instances"),
        (Planter.attached_policy, "role of pulley-dev", "fail", "--policy-arn arn:aws:iam::"),
        (Planter.token_without_the_repository, TOKEN, "fail", "this repository"),
    ],
    [
        (Planter.guessable_secret, "webhook secret", "warn", "pulley secret rotate"),
        (Planter.untagged, "host web-9", "warn", "aws ec2 create-tags"),
        (Planter.sleeping, "host web-2", "fail", "start the instance"),
        (Planter.old_agent, "host web-8", "warn", "AWS-UpdateSSMAgent"),
        (Planter.no_rule, "rule of pulley-dev-report_status_change", "fail", "chalice deploy"),
        (
            Planter.unknown_token_of_the_repository_s_own,
            TOKEN,
            "fail",
            "--github-token-file - --repository octo/site",
        ),
    ],
    [
        (Planter.unfinished_rotation, "webhook secret", "warn", "pulley secret rotate: it goes on"),
        (Planter.frozen, "pin of web", "warn", "pulley unpin web"),
        (Planter.killed_in_its_steps, "host web-1: /srv/site", "fail", "pulley deploy web"),
        (Planter.another_remote, WEB_2, "fail", "git -C /srv/site remote set-url origin git@"),
        (Planter.token_without_deployments, TOKEN, "fail", "Deployments: write"),
        (Planter.inactive_hook, WEBHOOK_ROW, "fail", "pulley connect octo/site"),
    ],
    [
        (Planter.new_secret, WEBHOOK_ROW, "fail", "pulley connect octo/site"),
        (Planter.token_without_contents, TOKEN, "fail", "Contents: read"),
    ],
    [
        (Planter.hook_to_elsewhere, WEBHOOK_ROW, "fail", "pulley connect octo/site"),
        (Planter.two_targets_that_meet_on_a_host, "checkout of other", "fail", "other instances"),
    ],
    [
        (Planter.old_git, WEB_2, "fail", "install git 2.26"),
        (Planter.hook_of_other_events, WEBHOOK_ROW, "fail", "pulley connect octo/site"),
        (
            Planter.every_check_with_a_token_that_reads_none,
            TOKEN,
            "fail",
            "Commit statuses: read",
        ),
    ],
    [
        (Planter.full_disk, WEB_2, "fail", "make room"),
        (Planter.token_without_webhooks, TOKEN, "warn", "Webhooks: read"),
    ],
    [
        (Planter.two_targets_in_one_checkout, "checkout of other", "fail", "another checkout"),
    ],
    [
        (Planter.red_deliveries, WEBHOOK_ROW, "fail", "pulley connect octo/site --force"),
    ],
    [
        (Planter.gates_without_a_token, "target web", "fail", "pulley setup --github-token-file"),
    ],
]
if AS_ROOT:
    FAULTS[2].append((Planter.root_s_checkout, "host web-7: /srv/site", "warn", "chown"))


def planted_together() -> list[list[Fault]]:
    """Lists of faults to plant together; each fault is in one of them."""
    if os.environ.get("PULLEY_FAULTS") == "all":
        return [[fault] for faults in FAULTS for fault in faults]
    return FAULTS


@pytest.fixture
def planter(sandbox: Sandbox) -> Iterator[Planter]:
    with ExitStack() as undo:
        yield Planter(sandbox, undo)


def test_healthy_stage_passes_every_check(pulley: Pulley) -> None:
    done = pulley("doctor", "--json")
    found = json_of(done)
    assert [row for row in found["rows"] if row["outcome"] != "pass"] == []
    assert (found["stage"], found["account"]) == (STAGE, "123456789012")
    assert found["region"]
    assert done.exit_code == 0


@pytest.mark.parametrize(
    "faults",
    planted_together(),
    ids=lambda faults: f"{faults[0][0].__name__}+{len(faults) - 1}",
)
def test_planted_fault_is_found_and_its_fix_named(
    pulley: Pulley, planter: Planter, faults: list[Fault]
) -> None:
    for plant, *_ in faults:
        plant(planter)
    done = pulley("doctor", "--json")
    rows = {row["what"]: row for row in json_of(done)["rows"]}
    worst = [row["what"] for row in rows.values() if row["outcome"] in {"fail", "unknown"}]
    for _, what, outcome, mend in faults:
        assert rows[what]["outcome"] == outcome, rows[what]
        assert mend in rows[what]["mend"]
        assert (what in worst) == (outcome == "fail")
    if len(faults) > 1:  # no other row fails
        assert set(worst) == {what for _, what, outcome, _ in faults if outcome == "fail"}
    assert done.exit_code == (3 if worst else 0)


def test_check_that_aws_refuses_is_an_unknown_row_and_the_other_checks_run(
    pulley: Pulley, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> object:
        raise RefusedError("AWS refused reading a command (AccessDenied)")

    monkeypatch.setattr(CommandHistory, "command", refuse)
    done = pulley("doctor", "--json")
    rows = {row["what"]: row["outcome"] for row in json_of(done)["rows"]}
    assert [what for what, outcome in rows.items() if outcome != "pass"] == ["hosts, asked"]
    assert rows["hosts, asked"] == "unknown"
    assert done.exit_code == 3


def test_rows_of_an_ended_sandbox_name_it_and_suggest_another_one(pulley: Pulley) -> None:
    gone = {
        "PULLEY_GITHUB_API": "http://127.0.0.1:9",
        "PULLEY_WEBHOOK_URL": "http://127.0.0.1:9/github",
    }
    found = json_of(pulley("doctor", "--json", environ=gone))["rows"]
    rows = {row["what"]: row for row in found if row["outcome"] != "pass"}
    assert list(rows) == [
        "the webhook's address",
        "GitHub token, octo/site",
        "webhook of octo/site",
    ]
    for row in rows.values():
        assert row["words"].startswith("could not be looked at: the sandbox at http://127.0.0.1:9")
        assert row["mend"].startswith("start another one (pulley sandbox)")


class TestHostsRole:
    """Tests one row alone, since a whole run of doctor would show no more."""

    def row(self, planter: Planter) -> Row:
        arns = f"arn:aws:ssm:{planter.deployed.region}:{planter.deployed.account_id}:parameter"
        ec2, iam = planter.sandbox.account.ec2, planter.deployed.iam
        (row,) = rows_of("hosts' roles", HostRoles(ec2, iam, NAMES, (), arns).check)
        return row

    def test_command_that_the_row_suggests_fixes_the_role(self, planter: Planter) -> None:
        planter.role_that_reads_secrets()
        options = shlex.split(self.row(planter).mend)[3:]
        given = dict(zip(options[::2], options[1::2], strict=True))
        planter.deployed.iam.put_role_policy(
            RoleName=given["--role-name"],
            PolicyName=given["--policy-name"],
            PolicyDocument=given["--policy-document"],
        )
        assert self.row(planter) == passed(
            "hosts' role web-host", "it may not read or write this stage's secrets"
        )

    def test_only_the_default_version_of_a_policy_counts(self, planter: Planter) -> None:
        planter.role_that_reads_secrets()
        iam = planter.deployed.iam
        (attached,) = iam.list_attached_role_policies(RoleName="web-host")["AttachedPolicies"]
        little = {"Effect": "Allow", "Action": "ssm:UpdateInstanceInformation", "Resource": "*"}
        iam.create_policy_version(
            PolicyArn=attached["PolicyArn"],
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [little]}),
            SetAsDefault=True,
        )
        assert self.row(planter).outcome == "pass"

    def test_role_of_another_stage_s_host_is_not_checked(self, planter: Planter) -> None:
        planter.role_that_reads_secrets()
        ec2, iam = planter.sandbox.account.ec2, planter.deployed.iam
        found = HostRoles(ec2, iam, ParameterNames("prod"), (), "arn:aws:ssm:::parameter").check()
        assert [row.words for row in found] == ["no instance has a role"]

    def test_deleted_instance_profile_counts_as_no_role(self, planter: Planter) -> None:
        planter.role_that_reads_secrets()
        iam = planter.deployed.iam
        iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web-host")
        iam.delete_instance_profile(InstanceProfileName="web")
        assert self.row(planter) == passed("hosts' roles", "no instance has a role")

    def test_role_that_cannot_be_read_is_unknown(self, planter: Planter) -> None:
        planter.role_that_reads_secrets()
        with Stubber(planter.deployed.iam) as iam:
            iam.add_client_error("get_instance_profile", "AccessDenied", http_status_code=403)
            row = self.row(planter)
        assert (row.what, row.outcome) == ("hosts' roles", "unknown")
        assert "AccessDenied" in row.words


class TestFix:
    def test_fix_repairs_the_document_pin_and_checks_again(
        self, pulley: Pulley, planter: Planter
    ) -> None:
        planter.document_pin_of_a_missing_version()
        done = pulley("doctor", "--fix", "--yes", "--json")
        assert [row for row in json_of(done)["rows"] if row["outcome"] != "pass"] == []
        assert done.exit_code == 0

    def test_new_secret_does_not_pass_before_github_has_it(
        self, pulley: Pulley, planter: Planter, sandbox: Sandbox
    ) -> None:
        planter.new_secret()
        sandbox.account.ssm.delete_parameter(Name=NAMES.webhook_secret)
        done = pulley("doctor", "--fix", "--yes", "--json")
        assert done.exit_code == 3
        assert "pulley connect octo/site --force" in done.stderr
        (row,) = [row for row in json_of(done)["rows"] if row["outcome"] != "pass"]
        assert row["what"] == "webhook of octo/site"

    def test_without_a_terminal_or_yes_fix_changes_nothing(
        self, pulley: Pulley, planter: Planter
    ) -> None:
        planter.unreadable_document_pin()
        done = pulley("doctor", "--fix")
        assert done.exit_code == 4
        failed = [line for line in done.stdout.splitlines() if line.startswith("fail")]
        assert any("document's pin" in line for line in failed)
        assert "pulley setup" in done.stdout
        pin = planter.ssm.get_parameter(Name=NAMES.document)["Parameter"]["Value"]
        assert pin == "version 1"

    def test_older_release_does_not_replace_the_document_of_a_newer_release(
        self, pulley: Pulley, planter: Planter
    ) -> None:
        planter.document_of_a_newer_release()
        planter.store(NAMES.webhook_secret, " ", secret=True)  # --fix would replace it
        pin = planter.ssm.get_parameter(Name=NAMES.document)["Parameter"]["Value"]
        done = pulley("doctor", "--fix", "--yes")
        assert done.exit_code == 1
        assert "is of release 99.0.0; this command is of" in done.stdout
        assert "Error: nothing was fixed: pulley-dev-pull is of release 99" in done.stderr
        assert planter.ssm.get_parameter(Name=NAMES.document)["Parameter"]["Value"] == pin
        warned = pulley("setup", "--dry-run")
        assert warned.exit_code == 0
        assert "Warning: pulley-dev-pull is of release 99.0.0, and this command" in warned.stderr

    def test_fix_leaves_a_freeze_and_missing_hosts_to_a_person(
        self, pulley: Pulley, planter: Planter
    ) -> None:
        planter.frozen()
        planter.no_host()
        done = pulley("doctor", "--fix", "--yes")
        assert done.exit_code == 3
        assert "tag the instances" in done.stdout
        assert "--fix can do nothing here" in done.stderr


class TestOwnSecret:
    """A repository's own secret, which `pulley setup` leaves alone."""

    @pytest.mark.parametrize(
        ("value", "fix"),
        [
            (
                " ",
                "aws ssm delete-parameter --name /pulley/dev/repositories/octo/site/webhook-secret",
            ),
            ("n" * 64 + "\n" + "o" * 64, "pulley secret rotate --repository octo/site: it goes on"),
        ],
    )
    def test_fix_names_only_the_repository_s_own_secret(
        self, planter: Planter, value: str, fix: str
    ) -> None:
        name = NAMES.repository_webhook_secret(SITE)
        planter.store(name, value, secret=True)
        parameters = Parameters(planter.ssm)
        targets = StoredTargets((), (), {SITE: StoredReportSettings()})
        rows = {row.what: row for row in Stored(parameters, NAMES, targets).check_secrets()}
        assert rows["webhook secret of octo/site"].mend.startswith(fix)
        assert not rows["webhook secret of octo/site"].fix


class TestWords:
    def test_fixes_for_another_stage_name_that_stage(self, pulley: Pulley) -> None:
        done = pulley("doctor", "--json", "--stage", "prod")
        mends = {row["what"]: row["mend"] for row in json_of(done)["rows"]}
        assert mends["webhook secret"] == "pulley setup --stage prod"
        assert mends["targets"] == "write pulley.toml, then pulley targets apply --stage prod"
        done = pulley("status", "web", "--stage", "prod")
        assert "pulley setup --stage prod makes it" in done.stderr

    def test_table_ends_with_the_counts_and_shows_no_secret(
        self, pulley: Pulley, sandbox: Sandbox
    ) -> None:
        done = pulley("doctor")
        assert done.stdout.rstrip().endswith(" pass.")
        assert sandbox.secret.decode() not in done.output
        assert sandbox.token not in done.output
