"""The policies for people, held against every call that the commands make in a sandbox."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from chalicelib.core.refs import Repository
from chalicelib.core.targets import Instances, Target, parse_stored_targets
from pulley.cli.output import Warnings
from pulley.operator.page.server import PageServer, reading_of
from pulley.operator.people.grants import ADMINISTER, DEPLOY, LEVELS, LOOK, NEEDS
from pulley.operator.people.managed import ManagedPolicies, is_same
from pulley.operator.people.policies import Scope, people_policies
from pulley.operator.stage.stage import Stage
from pulley.sandbox.run_command.statuses import IN_PROGRESS
from pulley.sandbox.sandbox import FULL_NAME, STAGE, TAGS, Sandbox
from tests.cli.conftest import TARGETS, invoke, push
from tests.cli.gate import Access, Gate
from tests.fakes import push_json
from tests.iam import fits
from tests.processes import HANG_SECONDS

TARGET_GROUP = (
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"
)
FILE = """
[targets.{name}]
repository = "octo/site"
branch = "main"
checkout = "/srv/site"
instances = {{ tags = {{ {tag} = "web" }} }}
"""
SCOPE = Scope(STAGE, "123456789012")
POLICIES = dict(zip(LEVELS, people_policies(SCOPE), strict=True))
# A step that waits for a file, or fails if there is one.
OTHER = {
    "schemaVersion": "2.2",
    "mainSteps": [
        {"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"]}}
    ],
}
STEP = "#!/bin/sh\nmkdir -p build\ncp health build/\n{}\n"
WAITS, FAILS = "while [ ! -e {gate} ]; do sleep 0.05; done", "test ! -e {broken} || exit 1"
# No host of the sandbox is of another kind than an instance of EC2.
NEVER_ASKED = {("ssm:SendCommand", "arn:aws:ssm:*:123456789012:managed-instance/*")}


# The sandbox deploys no stack, and attaches nothing to a role.
OF_A_STACK = {
    *("cloudformation:DeleteStack", "cloudformation:DescribeStacks", "iam:DetachRolePolicy"),
}


@dataclass
class Tour:
    """Runs every command in each way that makes it call another action, under its own policy."""

    sandbox: Sandbox
    gate: Gate
    iam: Any
    asked: dict[str, set[Access]] = field(default_factory=dict)

    def run(self, command: str, *arguments: str, code: int = 0, stdin: str = "") -> Result:
        """Run the command, whose policy must allow all that it does."""
        environ = {**self.sandbox.environ, "GITHUB_TOKEN": self.sandbox.token}
        with self.judged(command):
            done = invoke(environ, *command.split(), *arguments, stdin=stdin)
        assert done.exit_code == code, f"{command}: {done.stdout}{done.stderr}"
        return done

    @contextmanager
    def judged(self, command: str) -> Iterator[None]:
        level = NEEDS[command].level
        with self.gate.of(POLICIES[level].content if level else None) as asked:
            yield
            # Those who may not read the stage's token use their own.
            refused = [one for one in self.gate.refused if "github-token" not in one.arn]
        assert refused == [], command
        self.asked.setdefault(command, set()).update(asked)

    def write_meanwhile(self, asked: Mapping[str, Any]) -> None:
        """Let somebody else write a parameter between a command's read and its write."""
        ssm, name = self.sandbox.account.ssm, asked["Name"]
        for one in ssm.get_parameters(Names=[name], WithDecryption=True)["Parameters"]:
            ssm.put_parameter(Name=name, Value=one["Value"], Type=one["Type"], Overwrite=True)

    def go(self) -> None:
        good = self.push("good")
        self.look()
        self.pin(good)
        self.deploy()
        self.cancel()
        self.promote()
        self.administer()

    def push(self, words: str, step: str = "", *, is_quiet: bool = False) -> str:
        files = {"deploy/after-pull": STEP.format(step)}
        return push(self.sandbox, words, files, is_quiet=is_quiet)

    def look(self) -> None:
        self.run("open --hosted --new-key", "--yes", "--no-browser")
        for command in ("status", "plan", "history", "targets show"):
            self.run(command)
        self.run("logs", "web")
        self.run("open --hosted", "--no-browser", "web")
        self.open()
        with self.stored_targets({"drain": {"target_group": TARGET_GROUP}, "max_concurrency": "1"}):
            self.run("targets host-policy", "web")

    def open(self) -> None:
        with self.judged("open"), pytest.MonkeyPatch.context() as patch:
            for name, value in self.sandbox.environ.items():
                patch.setenv(name, value)
            patch.setenv("GITHUB_TOKEN", self.sandbox.token)
            server = PageServer(reading_of(Stage(STAGE), Warnings()))
            for part in ("state.json", "history.json?target=web"):
                status, _, body = server.answer(f"{server._place}{part}")
                assert status == 200, body
            server._server.server_close()

    def pin(self, commit: str) -> None:
        self.run("status --live")
        machine = self.sandbox.machines[0]
        machine.write("index.html", "mine\n")
        self.push("in the way")
        (kept,) = machine.git("for-each-ref", "--format=%(objectname)", "refs/pulley/saved").split()
        self.run("saved", "web")
        self.run("saved", "web", machine.name, kept)
        self.run("saved", "web", machine.name, kept, "--drop", "--yes")
        self.gate.before_write = self.write_meanwhile
        for reason in ("x", "y"):  # the first one finds no pin to overwrite
            self.run("freeze", "web", "--reason", reason)
        self.run("unpin", "web")
        self.run("pin", "web", commit, "--reason", "x", "--yes")
        self.run("unpin", "web", "--yes")
        self.gate.before_write = None

    def deploy(self) -> None:
        broken = self.sandbox.directory / "broken"
        self.push("breaks", FAILS.format(broken=broken))
        self.push("breaks, too", FAILS.format(broken=broken) + "\n: again")
        broken.touch()
        self.push("bad", FAILS.format(broken=broken) + "\n: bad", is_quiet=True)
        self.run("deploy", "web", code=3)
        self.open()
        self.gate.before_write = self.write_meanwhile
        self.run("rollback", "web", "--yes", code=3)
        self.gate.before_write = None
        broken.unlink()
        self.run("unpin", "web", "--yes")
        self.push("better")

    def cancel(self) -> None:
        for number, leave in enumerate(([], ["--leave"])):
            gate = self.sandbox.directory / f"gate-{number}"
            self.push(f"waits {number}", WAITS.format(gate=gate), is_quiet=True)
            self.run("deploy", "web", "--no-wait", "--yes")
            (command, *_) = self.sandbox.account.run_command.commands()
            self.sandbox.account.run_command.wait_for(
                command.id,
                lambda one: one.count(IN_PROGRESS) == 2,
                timeout=HANG_SECONDS,
            )
            self.gate.before_write = self.write_meanwhile
            self.run("cancel", "web", "--yes", *leave)
            self.gate.before_write = None
            gate.touch()
            self.sandbox.wait_until_quiet()
        self.run("unpin", "web", "--yes")
        self.push("after the cancels")

    def promote(self) -> None:
        broken = self.sandbox.directory / "broken"
        self.push("fails next door", FAILS.format(broken=broken))
        self.sandbox.add_machine("next-1", tags={**TAGS, "role": "next"})
        other = {
            "name": "next",
            "instances": {"tags": {"role": "next"}},
            "after": ["web"],
            "soak": "1h",
        }
        with self.stored_targets({}, other):
            broken.touch()
            self.run("promote", "next", "--yes", code=3)
            broken.unlink()

    def administer(self) -> None:
        iam, ec2 = self.iam, self.sandbox.account.ec2
        self.gate.before_write = self.write_meanwhile
        self.set_up()
        Path("pulley.toml").write_text(
            FILE.format(name="web", tag="role") + FILE.format(name="next", tag="tier")
        )
        self.run("targets apply", "--yes")
        self.run("connect", FULL_NAME)
        self.run("secret rotate", "--yes", "--wait", "0")
        self.run("open --hosted --new-key", "--yes", "--no-browser")
        self.gate.before_write = None
        self.run("simulate", "-", stdin=json.dumps(push_json()))
        self.sandbox.make_group(tags={"role": "web"})
        self.run("targets launch-hook", "web", "--group", "web", "--yes")
        iam.create_role(RoleName="host", AssumeRolePolicyDocument="{}")
        policy = iam.create_policy(
            PolicyName="any", PolicyDocument=json.dumps(POLICIES[LOOK].content)
        )
        iam.attach_role_policy(RoleName="host", PolicyArn=policy["Policy"]["Arn"])
        iam.create_instance_profile(InstanceProfileName="host")
        iam.add_role_to_instance_profile(InstanceProfileName="host", RoleName="host")
        ec2.associate_iam_instance_profile(
            InstanceId=self.sandbox.machines[0].host.instance_id,
            IamInstanceProfile={"Name": "host"},
        )
        self.people()
        self.doctor()

    def doctor(self) -> None:
        """Fix what a set-up would, in each of its ways."""
        self.gate.before_write = self.write_meanwhile
        ssm, document = self.sandbox.account.ssm, f"pulley-{STAGE}-pull"
        ssm.delete_document(Name=document)
        self.run("doctor --fix", "--yes", code=3)
        for number in range(2):
            self.store_another_document(f"to fix {number}", str(2 * number + 2))
            self.run("doctor --fix", "--yes", code=3)
        self.gate.before_write = None

    def doctor_says(self) -> tuple[str, str] | None:
        """What the doctor says of the policies; None if it says nothing."""
        rows = json.loads(self.run("doctor", "--json", code=3).stdout)["rows"]
        told = [one for one in rows if one["what"] == "policies for people"]
        return (told[0]["outcome"], told[0]["words"]) if told else None

    def store_another_document(self, words: str, version: str) -> None:
        ssm, document = self.sandbox.account.ssm, f"pulley-{STAGE}-pull"
        text = json.dumps({**OTHER, "description": words})
        ssm.update_document(Name=document, Content=text, DocumentVersion="$LATEST")
        ssm.update_document_default_version(Name=document, DocumentVersion=version)

    def people(self) -> None:
        """Make the policies; then one of them in five other versions, and back."""
        assert self.doctor_says() is None
        self.run("setup --people", "--yes")
        look = POLICIES[LOOK]
        assert self.doctor_says() == (
            "pass",
            "pulley-dev-look, pulley-dev-deploy, pulley-dev-administer",
        )
        for _ in range(4):
            text = json.dumps(POLICIES[DEPLOY].content)
            self.iam.create_policy_version(
                PolicyArn=look.arn, PolicyDocument=text, SetAsDefault=True
            )
        assert self.doctor_says() == ("warn", "not as this release makes them: pulley-dev-look")
        self.run("setup --people", "--yes")
        found = ManagedPolicies(self.iam).read(look.arn)
        assert is_same(found, look.content)
        assert "Nothing to do" in self.run("setup --people", "--yes").stdout

    def set_up(self) -> None:
        """Make the document, then another version twice: the second deletes the first."""
        ssm, document = self.sandbox.account.ssm, f"pulley-{STAGE}-pull"
        ssm.delete_document(Name=document)
        self.run("setup", "--yes")
        for number in range(2):
            self.store_another_document(f"another {number}", str(2 * number + 2))
            self.run("setup", "--yes")

    @contextmanager
    def stored_targets(self, *changes: Mapping[str, object]) -> Iterator[None]:
        value = json.dumps([{**self.sandbox.target, **one} for one in changes])
        ssm = self.sandbox.account.ssm
        before = ssm.get_parameter(Name=TARGETS)["Parameter"]["Value"]
        ssm.put_parameter(Name=TARGETS, Value=value, Overwrite=True)
        yield
        ssm.put_parameter(Name=TARGETS, Value=before, Overwrite=True)


@pytest.fixture(scope="module")
def removal() -> set[Access]:
    """What an uninstall asks of IAM, in a sandbox of its own."""
    with Sandbox(["web-1"]) as sandbox, pytest.MonkeyPatch.context() as patch:
        gate = Gate(sandbox)
        gate.attach(patch)
        sandbox.make_group(hook_seconds=60)
        sandbox.account.client("logs").create_log_group(logGroupName=f"/aws/lambda/pulley-{STAGE}")
        removing = Tour(sandbox, gate, sandbox.account.client("iam"))
        removing.run("setup --people", "--yes")
        arn = POLICIES[LOOK].arn
        text = json.dumps(POLICIES[LOOK].content)
        removing.iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
        removing.run("uninstall", "--yes")
        return removing.asked["uninstall"]


@pytest.fixture(scope="module")
def tour(removal: set[Access], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    """The tour when it is over. There may be one sandbox at a time."""
    del removal
    with Sandbox(["web-1", "web-2"]) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tour"))
        gate = Gate(sandbox)
        gate.attach(patch)
        tour = Tour(sandbox, gate, sandbox.account.client("iam"))
        tour.go()
        yield tour


@pytest.fixture
def asked(tour: Tour, removal: set[Access]) -> Mapping[str, set[Access]]:
    """What each command asked of IAM."""
    return {**tour.asked, "uninstall": removal}


def test_each_command_needs_exactly_the_actions_that_the_table_names(
    asked: Mapping[str, set[Access]],
) -> None:
    assert set(NEEDS) == set(asked)
    differing = {
        name: (set(need.actions) ^ {one.action for one in asked[name]}) - OF_A_STACK
        for name, need in NEEDS.items()
    }
    assert {name: actions for name, actions in differing.items() if actions} == {}


@pytest.mark.parametrize("level", LEVELS)
def test_policy_allows_nothing_that_no_command_of_its_level_asks_for(
    asked: Mapping[str, set[Access]], level: str
) -> None:
    below = LEVELS[: LEVELS.index(level) + 1]
    accesses = {one for name, every in asked.items() if NEEDS[name].level in below for one in every}
    spare = {
        (action, resource)
        for statement in POLICIES[level].content["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
        if not any(one.action == action and fits(one.arn, resource) for one in accesses)
    }
    assert spare <= NEVER_ASKED


Refused = Callable[..., Result]


@pytest.fixture
def refused(tour: Tour) -> Iterator[Refused]:
    """Run a command under the policy of a level, or one that is given."""

    def run(policy: str | Mapping[str, Any], line: str, **environ: str | None) -> Result:
        content = POLICIES[policy].content if isinstance(policy, str) else policy
        with tour.gate.of(content):
            return invoke({**tour.sandbox.environ, "GITHUB_TOKEN": None, **environ}, *line.split())

    yield run
    tour.sandbox.wait_until_quiet()


class TestRefusals:
    @pytest.mark.parametrize(
        ("level", "line", "action", "allowed"),
        [
            (LOOK, "deploy web --yes", "ssm:SendCommand", "pulley-dev-deploy"),
            (LOOK, "freeze web --reason x", "ssm:PutParameter", "pulley-dev-deploy"),
            (DEPLOY, "secret rotate --yes", "ssm:GetParameters", "pulley-dev-administer"),
            (DEPLOY, "setup --yes", "ssm:GetParameters", "pulley-dev-administer"),
        ],
    )
    def test_refusal_names_the_action_and_the_policy_that_allows_it(
        self, refused: Refused, level: str, line: str, action: str, allowed: str
    ) -> None:
        done = refused(level, line)
        assert done.exit_code == 1
        assert f"; the policy {allowed} allows {action}" in done.stderr

    def test_refusal_of_ec2_has_another_code_and_the_same_words(self, refused: Refused) -> None:
        done = refused(
            {"Statement": without(POLICIES[LOOK].content, "ec2:DescribeInstances")}, "status"
        )
        assert "; the policy pulley-dev-look allows ec2:DescribeInstances" in done.stderr

    def test_action_that_no_policy_allows_is_for_an_administrator_of_the_account(
        self, refused: Refused
    ) -> None:
        done = refused(ADMINISTER, "setup --people --target web --yes")
        assert done.exit_code == 1
        assert "; none of Pulley's policies allows iam:GetPolicy" not in done.stderr
        assert "; none of Pulley's policies allows iam:CreatePolicy" in done.stderr


class TestTokens:
    def test_whoever_may_look_sees_no_token_and_is_told_to_use_an_own_one(
        self, refused: Refused, tour: Tour
    ) -> None:
        done = refused(LOOK, "plan web")
        assert done.exit_code == 0
        assert "You may not read the stage's token for GitHub: set GITHUB_TOKEN" in done.stdout
        done = refused(LOOK, "plan web", GITHUB_TOKEN=tour.sandbox.token)
        assert "by GitHub" in done.stdout
        assert "token" not in done.stdout


def without(content: Mapping[str, Any], action: str) -> list[dict[str, Any]]:
    return [
        {**one, "Action": [each for each in one["Action"] if each != action]}
        for one in content["Statement"]
    ]


class TestOneTarget:
    def test_policy_for_one_target_sends_only_to_its_hosts_and_writes_only_its_pin(
        self, refused: Refused, tour: Tour
    ) -> None:
        other = {"name": "next", "instances": {"tags": {"role": "next"}}, "checkout": "/srv/next"}
        with tour.stored_targets({}, other):
            text = tour.sandbox.account.ssm.get_parameter(Name=TARGETS)["Parameter"]["Value"]
            web = parse_stored_targets(text, Repository.parse(FULL_NAME))[0]
            policy = people_policies(SCOPE, [web])[-1]
            assert policy.name == "pulley-dev-deploy.web"
            assert refused(policy.content, "freeze web --reason x").exit_code == 0
            assert refused(policy.content, "unpin web --yes").exit_code == 0
            assert refused(policy.content, "deploy web --yes").exit_code == 0
            for line in ("freeze next --reason x", "deploy next --yes"):
                done = refused(policy.content, line)
                assert (done.exit_code, "pulley-dev-deploy allows" in done.stderr) == (1, True)

    def test_policy_compares_a_tag_s_value_as_it_is_written_in_pulley_toml(self) -> None:
        tags = (("env", ("STAGE", "STAGE-2")), ("who", ("${aws:username}",)))
        web = Target("web", Repository.parse(FULL_NAME), Instances(tags), "/srv/site")
        conditions = [
            one["Condition"]["StringEquals"]
            for one in people_policies(SCOPE, [web])[-1].content["Statement"]
            if "Condition" in one
        ]
        assert conditions == [
            {
                "ssm:resourceTag/pulley": ["dev"],
                "ssm:resourceTag/env": ["STAGE", "STAGE-2"],
                "ssm:resourceTag/who": ["${$}{aws:username}"],
            }
        ]

    def test_policy_that_iam_would_not_take_is_refused_before_anything_is_asked(
        self, refused: Refused, tour: Tour
    ) -> None:
        many = [f"i-{number:017x}" for number in range(50)]
        tags = {key: ["x" * 60 + str(number) for number in range(50)] for key in "abcd"}
        for instances, code in (({"ids": many}, 0), ({"tags": tags}, 1)):
            with tour.stored_targets({"instances": instances}):
                done = refused(ADMINISTER, "setup --people --target web --dry-run")
            assert done.exit_code == code, done.stderr
        assert "pulley-dev-deploy.web would have 1" in done.stderr
        assert "IAM takes 6,144" in done.stderr
