"""`pulley simulate` shows what the webhook would do with a delivery, and changes nothing."""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from pulley.sandbox.github.deliveries import post_delivery, push_payload
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import NAMES, TARGETS, Pulley, asleep, json_of, stored
from tests.fakes import COMMIT, SITE, push_json

PUSH = json.dumps(push_json())


def footprint(sandbox: Sandbox) -> tuple[object, ...]:
    """All that a delivery leaves behind."""
    names = sandbox.account.ssm.describe_parameters()["Parameters"]
    return (
        sandbox.account.run_command.commands(),
        sandbox.github.deployments(FULL_NAME),
        [(one["Name"], one["Version"]) for one in names],
    )


class TestSimulateAPush:
    def test_command_is_shown_with_its_secret_ref_commit_pin_and_hosts(
        self, pulley: Pulley
    ) -> None:
        done = pulley("simulate", "-", stdin=PUSH)
        assert done.exit_code == 0, done.stderr
        for words in (
            "repository   octo/site",
            "secret       /pulley/dev/webhook-secret",
            "ref          refs/heads/main",
            f"commit       {COMMIT}",
            "follows it, as it follows branch main",
            "pin: none",
            "on GitHub: a deployment to web",
            "the document pulley-dev-pull, version 1",
            "to: tag:pulley = dev; tag:role = web",
            "hosts online:  web-1, web-2",
            "hosts offline: none",
            "The webhook would answer 202:",
            "and send 1 command.",
        ):
            assert words in done.stdout

    def test_simulation_changes_nothing_and_shows_no_secret(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        before, asked = footprint(sandbox), len(sandbox.github.requests)
        done = pulley("simulate", "-", "--json", stdin=PUSH)
        assert done.exit_code == 0
        assert footprint(sandbox) == before
        assert len(sandbox.github.requests) == asked
        assert sandbox.secret.decode() not in done.output
        assert sandbox.token not in done.output

    def test_answer_and_command_are_those_of_the_webhook(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        tip = sandbox.developer.head.commit.hexsha
        body = push_payload(sandbox.developer, FULL_NAME, "refs/heads/main", "0" * 40, tip)
        found = json_of(pulley("simulate", "-", "--json", stdin=body.decode()))
        answer = post_delivery(sandbox.webhook.url, body, sandbox.secret)
        sandbox.wait_until_quiet()
        assert (found["status"], found["body"].keys()) == (answer.status, answer.body.keys())
        sent, *_ = sandbox.account.run_command.commands()
        (shown,) = (one["command"]["parameters"] for one in found["targets"])
        (real,) = sandbox.account.ssm.list_commands(CommandId=sent.id)["Commands"]
        own = {"Issued", "Delivery", "Deployment"}
        assert {name: [value] for name, value in shown.items() if name not in own} == {
            name: value for name, value in real["Parameters"].items() if name not in own
        }

    def test_sleeping_host_is_shown_as_offline(self, sandbox: Sandbox, pulley: Pulley) -> None:
        with asleep(sandbox):
            done = pulley("simulate", "-", stdin=PUSH)
        assert "hosts online:  web-1\n" in done.stdout
        assert "hosts offline: web-2\n" in done.stdout

    def test_target_of_another_branch_is_shown_with_the_reason(self, pulley: Pulley) -> None:
        done = pulley("simulate", "-", stdin=json.dumps(push_json(ref="refs/heads/x")))
        assert done.exit_code == 0
        assert "does not follow it: it follows branch main, and this is refs/heads/x" in done.stdout
        assert "The webhook would answer 200:" in done.stdout

    def test_frozen_target_gets_no_command_and_an_inactive_deployment(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        pulley("freeze", "web", "--reason", "a holiday")
        done = pulley("simulate", "-", stdin=PUSH)
        pulley("unpin", "web")
        assert done.exit_code == 0
        assert "pin: frozen: a holiday" in done.stdout
        assert "at once: inactive, not deployed: frozen: a holiday" in done.stdout
        assert "no command" in done.stdout
        assert "web: frozen: a holiday" in done.stdout.partition("would answer 200")[2]

    def test_own_secret_of_the_repository_is_named(self, sandbox: Sandbox, pulley: Pulley) -> None:
        own = NAMES.repository_webhook_secret(SITE)
        with stored(sandbox, own, "own", secret=True):
            done = pulley("simulate", "-", stdin=PUSH)
        assert f"secret       {own}" in done.stdout
        assert done.exit_code == 0


class TestSimulateOtherDeliveries:
    def test_other_events_and_deletions_are_ignored(self, pulley: Pulley) -> None:
        done = pulley("simulate", "-", "--event", "ping", stdin=PUSH)
        assert (done.exit_code, "ping: the webhook is set up" in done.stdout) == (0, True)
        done = pulley("simulate", "-", stdin=json.dumps(push_json(deleted=True)))
        assert (done.exit_code, "was deleted" in done.stdout) == (0, True)

    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            ("{", 400, "the body is not JSON"),
            pytest.param("x" * 6_000_000, 413, "the body is larger than", id="large"),
            ("payload=%7B", 400, "the body is not JSON"),
        ],
    )
    def test_body_that_the_webhook_refuses_gets_the_same_status(
        self, pulley: Pulley, body: str, status: int, words: str
    ) -> None:
        done = pulley("simulate", "-", stdin=body)
        assert done.exit_code == 3
        assert f"The webhook would answer {status}:" in done.stdout
        assert words in done.stdout

    def test_form_encoded_push_is_accepted(self, pulley: Pulley, tmp_path: Path) -> None:
        (path := tmp_path / "form").write_text(urlencode({"payload": PUSH}))
        found = json_of(pulley("simulate", str(path), "--json"))
        assert (found["status"], found["commit"]) == (202, COMMIT)

    def test_invalid_stored_targets_give_503_with_the_detail(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with stored(sandbox, TARGETS, "[{}]"):
            done = pulley("simulate", "-", stdin=PUSH)
        assert done.exit_code == 3
        assert "The webhook would answer 503:" in done.stdout
        assert "the stored targets of octo/site are not valid: " in done.stdout

    @pytest.mark.parametrize(
        ("pin", "words"),
        [
            ({"version": "7"}, "pinned: it has no version 7: pulley setup"),
            ({"hash": "0" * 64}, "pinned: it has another hash in version 1: pulley setup"),
        ],
    )
    def test_missing_pinned_document_gives_502_as_the_webhook_does(
        self, sandbox: Sandbox, pulley: Pulley, pin: dict[str, str], words: str
    ) -> None:
        kept = sandbox.account.ssm.get_parameter(Name=NAMES.document)["Parameter"]["Value"]
        with stored(sandbox, NAMES.document, json.dumps(json.loads(kept) | pin)):
            done = pulley("simulate", "-", stdin=PUSH)
            answer = post_delivery(sandbox.webhook.url, PUSH.encode(), sandbox.secret)
        assert done.exit_code == 3
        assert f"The webhook would answer {answer.status}:" in done.stdout
        assert answer.status == 502
        assert words in done.stdout

    def test_missing_secret_is_refused_and_the_parameter_to_set_is_named(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        name = NAMES.repository_webhook_secret(SITE)
        with stored(sandbox, name, " ", secret=True):
            done = pulley("simulate", "-", stdin=PUSH)
        assert done.exit_code == 3
        assert f"no webhook secret is stored: put one into {name}" in done.stdout

    def test_missing_file_is_an_error_that_names_it(self, pulley: Pulley) -> None:
        done = pulley("simulate", "/nowhere.json")
        assert done.exit_code == 1
        assert done.stderr == "Error: '/nowhere.json': No such file or directory\n"
