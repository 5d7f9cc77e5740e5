"""Hostile targets, stored directly in Parameter Store or given to `pulley targets apply`."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from chalicelib.core.refs import shown
from pulley.cli import main
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.injection.hostile import BAD_IN_A_LINE, DANGEROUS, WORD, some_of
from tests.injection.house import (
    TARGETS,
    check_results,
    count_commands,
    good_payload,
    post,
    run_every_tenth,
    store,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import TagTypeDef

CONTROL = re.compile("[\0-\x1f\x7f]")
# A valid value for each key of a target. A hostile string is also put behind it.
GOOD_KEYS: Mapping[str, str] = {
    "name": "web",
    "repository": FULL_NAME,
    "branch": "main",
    "checkout": "/srv/site",
    "update": "rebase",
    "after_pull": "deploy/after-pull",
    "restart": "site.service",
    "health_check": "http://127.0.0.1/health",
    "max_concurrency": "50",
    "max_errors": "0",
    "timeout": "60",
    "log_group": "/pulley",
    "clone": f"git@github.com:{FULL_NAME}",
    "owner": "deploy",
    "launch": "abandon",
}


def hostile_targets(hostile: str) -> list[tuple[str, dict[str, object]]]:
    """Targets with their hostile key: the string alone, and behind a valid value."""
    base = {
        "repository": FULL_NAME,
        "branch": "main",
        "checkout": "/srv/site",
        "instances": {"tags": {"role": "web"}},
    }
    found: list[tuple[str, dict[str, object]]] = []
    for (key, good), form in product(GOOD_KEYS.items(), ("{}", "{good}{}")):
        text = form.replace("{good}", good).replace("{}", hostile)
        name = {} if key == "name" else {"name": f"t{len(found)}"}
        found.append((key, {**base, **name, key: [text] if key == "restart" else text}))
    found.append(("instances.ids", {**base, "name": "ids", "instances": {"ids": [hostile]}}))
    return found


@pytest.mark.usefixtures("unreported")
class TestTarget:
    """Hostile targets, stored directly in Parameter Store or given to `pulley targets apply`."""

    @pytest.fixture
    def restored_target(self, sandbox: Sandbox) -> Iterator[None]:
        """Store the sandbox's own target again after the test."""
        yield
        store(sandbox, [sandbox.target])

    def test_hostile_value_of_any_key_is_refused_and_named(
        self, sandbox: Sandbox, restored_target: None
    ) -> None:
        before, log = count_commands(sandbox), sandbox.directory / "webhook.log"
        for hostile in DANGEROUS.values():
            targets = hostile_targets(hostile)
            store(sandbox, [target for _, target in targets])
            told = log.stat().st_size
            answer = post(sandbox, good_payload(sandbox))
            assert answer.status == 503
            assert "the repository's stored targets are not valid" in answer.text
            noted = log.read_text()[told:]
            for number, (key, target) in enumerate(targets):
                path = f"[{number}].name" if key == "name" else f".{target['name']}.{key}"
                assert f"targets{path}: must " in noted, (path, hostile)
        assert count_commands(sandbox) == before

    def test_hostile_key_is_refused_and_named(
        self, sandbox: Sandbox, restored_target: None
    ) -> None:
        before = count_commands(sandbox)
        store(sandbox, [{**sandbox.target, text: text} for text in DANGEROUS.values()])
        assert post(sandbox, good_payload(sandbox)).status == 503
        noted = (sandbox.directory / "webhook.log").read_text()
        for hostile in DANGEROUS.values():
            assert json.dumps(f"targets.web: unknown key {shown(hostile)}")[1:-1] in noted
        assert count_commands(sandbox) == before

    def test_apply_refuses_hostile_targets_and_stores_nothing(self, sandbox: Sandbox) -> None:
        stored = sandbox.account.ssm.get_parameter(Name=TARGETS)["Parameter"]["Version"]
        every = [one for text in DANGEROUS.values() for one in hostile_targets(text)]
        for key, target in some_of(every):
            name = target.pop("name")
            keys = "\n".join(f"{name} = {toml(value)}" for name, value in target.items())
            text = f"[targets.{toml(name)}]\n{keys}\n"
            arguments = ["targets", "apply", "--yes", "-"]
            done = CliRunner().invoke(main, arguments, input=text, env=sandbox.environ)
            assert done.exit_code == 3, (key, target, done.output)
            assert not BAD_IN_A_LINE.search(done.output.replace("\n", "")), (key, done.output)
        now = sandbox.account.ssm.get_parameter(Name=TARGETS)["Parameter"]["Version"]
        assert now == stored

    def test_hostile_environment_and_tag_are_used_unchanged_and_run_nothing(
        self, sandbox: Sandbox, restored_target: None
    ) -> None:
        texts = {
            f"t{number}": text
            for number, text in enumerate(DANGEROUS.values())
            if not CONTROL.search(text)  # neither an environment nor EC2's XML may contain these
        }
        tags: list[TagTypeDef] = [{"Key": name, "Value": text} for name, text in texts.items()]
        steps = ("after_pull", "restart", "health_check")
        bare = {key: value for key, value in sandbox.target.items() if key not in steps}
        (instance, _) = (machine.host.instance_id for machine in sandbox.machines)
        sandbox.account.ec2.create_tags(Resources=[instance], Tags=tags)
        targets = [
            {**bare, "name": name, "environment": text, "instances": {"tags": {name: text}}}
            for name, text in texts.items()
        ]
        store(sandbox, targets)
        with run_every_tenth(sandbox) as sent:
            assert post(sandbox, good_payload(sandbox)).status == 202
        assert len(sent) == len(texts)
        made = {one.environment for one in sandbox.github.deployments(FULL_NAME)}
        assert made >= set(texts.values())

    def test_odd_values_that_the_patterns_allow_run_nothing_in_the_shell(
        self, sandbox: Sandbox, restored_target: None
    ) -> None:
        more = {
            "name": "odd--help",
            "restart": [f"{WORD}@--help:x.service", "a.service"],
            "health_check": f"{sandbox.target['health_check']}?;{WORD}&({WORD})*!~%41+@,#;{WORD}",
            "log_group": "../../-oProxyCommand",
        }
        store(sandbox, [{**sandbox.target, **more}])
        answer = post(sandbox, good_payload(sandbox))
        (command_id,) = answer.command_ids
        check_results(sandbox, command_id, "updated")
        asked = sandbox.machines[0].journal.read_text().splitlines()[-1]
        assert asked.endswith(f": systemctl reload-or-restart -- {WORD}@--help:x.service a.service")


def toml(value: object) -> str:
    """A value in TOML. Its strings have JSON's escapes, except for surrogates."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(part)}" for key, part in value.items()) + "}"
    return json.dumps(value)
