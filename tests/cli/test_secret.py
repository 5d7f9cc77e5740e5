"""A rotation against the sandbox during deliveries: it refuses no delivery, shows no secret."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.github.deliveries import post_delivery
from pulley.sandbox.github.server import Fault
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import NAMES, Pulley, json_of, stored
from tests.fakes import SITE

ISSUES = b'{"repository": {"full_name": "octo/site"}}'
# A short wait is enough: the sandbox's Lambda has look-ups left, and uses one for a new secret.
QUICK = ("--wait", "0.5")


@pytest.fixture(scope="module")
def sandbox(used: Sandbox) -> Sandbox:
    return used


def lines(sandbox: Sandbox) -> list[str]:
    found = sandbox.account.ssm.get_parameter(Name=NAMES.webhook_secret, WithDecryption=True)
    return found["Parameter"]["Value"].split("\n")


def secret_of_hook(sandbox: Sandbox) -> str:
    (hook,) = sandbox.github.hooks(FULL_NAME)
    return hook.config.secret


@contextmanager
def deliveries(sandbox: Sandbox) -> Iterator[list[int]]:
    """Post deliveries in the background, each signed with the webhook's current secret."""
    answers: list[int] = []
    is_over = threading.Event()

    def post() -> None:
        while not is_over.is_set():
            secret = secret_of_hook(sandbox).encode()
            url = sandbox.webhook.url
            answers.append(post_delivery(url, ISSUES, secret, event="issues").status)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join()


class TestRotate:
    def test_rotation_replaces_the_old_secret_and_refuses_no_delivery(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        before = lines(sandbox)
        with deliveries(sandbox) as answers:
            done = pulley("secret", "rotate", "--yes", *QUICK)
        assert done.exit_code == 0, done.stderr
        assert len(answers) > 10
        assert set(answers) == {200}
        (new,) = lines(sandbox)
        assert [new] != before
        assert secret_of_hook(sandbox) == new
        assert new not in done.output
        assert before[0] not in done.output
        assert "octo/site: its webhook signs with the new secret" in done.stderr

    def test_without_permission_the_old_secret_stays_until_the_webhook_is_changed_by_hand(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        (old,) = lines(sandbox)
        sandbox.github.permissions["webhooks"] = "read"
        with deliveries(sandbox) as answers:
            done = pulley("secret", "rotate", "--yes", *QUICK)
            assert done.exit_code == 3
            assert "Webhooks: write" in done.stderr
            assert "pulley secret rotate --finish" in done.stderr
            new, *others = lines(sandbox)
            assert others == [old]
            early = pulley("secret", "rotate", "--finish", "--yes", *QUICK)
            assert early.exit_code == 3
            assert "signed with an older secret" in early.stderr
            (hook,) = sandbox.github.hooks(FULL_NAME)
            sandbox.github._hooks[FULL_NAME].update_config(hook.id, {"secret": new})
            finished = json_of(pulley("secret", "rotate", "--finish", "--yes", "--json", *QUICK))
        sandbox.github.permissions["webhooks"] = "write"
        assert finished["dropped"] == 1
        assert lines(sandbox) == [new]
        assert set(answers) == {200}

    def test_rotation_that_failed_at_github_is_completed_by_the_next_run(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        def fail(method: str, _path: str) -> Fault | None:
            return Fault(502, applied_first=True) if method == "PATCH" else None

        with deliveries(sandbox) as answers:
            sandbox.github.fault = fail
            first = pulley("secret", "rotate", "--yes", *QUICK)
            sandbox.github.fault = None
            assert first.exit_code == 3
            new, _ = lines(sandbox)
            again = pulley("secret", "rotate", "--yes", *QUICK)
        assert again.exit_code == 0
        assert "going on with that one" in again.stderr
        assert lines(sandbox) == [new]
        assert set(answers) == {200}

    def test_drop_unproven_drops_the_old_secret_of_an_inactive_webhook(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        (hook,) = sandbox.github.hooks(FULL_NAME)
        hook.active = False
        done = pulley("secret", "rotate", "--yes", "--drop-unproven", "--wait", "0")
        hook.active = True
        assert done.exit_code == 0
        assert "is switched off, and cannot be pinged" in done.stderr
        assert len(lines(sandbox)) == 1
        assert pulley("connect", "octo/site", "--force", "--yes").exit_code == 0

    @pytest.mark.parametrize("arguments", [("--dry-run",), ()])
    def test_nothing_is_changed_by_a_dry_run_or_without_a_yes(
        self, sandbox: Sandbox, pulley: Pulley, arguments: tuple[str, ...]
    ) -> None:
        before = lines(sandbox), secret_of_hook(sandbox)
        done = pulley("secret", "rotate", *arguments)
        assert done.exit_code == (0 if arguments else 4)
        assert "70 seconds later each webhook gets the new one" in done.stderr
        assert (lines(sandbox), secret_of_hook(sandbox)) == before

    def test_webhook_of_another_stage_keeps_its_secret(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        prod, before = ParameterNames("prod"), secret_of_hook(sandbox)
        where = ("--stage", "prod", "--url", sandbox.webhook.url)
        environ = {"GITHUB_TOKEN": sandbox.token}
        with (
            stored(sandbox, prod.webhook_secret, "prod's", secret=True),
            stored(sandbox, prod.targets(SITE), json.dumps([sandbox.target])),
        ):
            done = pulley("secret", "rotate", *where, "--yes", "--wait", "0", environ=environ)
        assert done.exit_code == 3
        why = f"No ping shows that a secret in {prod.webhook_secret} is valid at"
        assert f"{why} {sandbox.webhook.url}" in done.stderr
        assert secret_of_hook(sandbox) == before

    def test_repository_whose_targets_were_pruned_is_skipped(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with stored(sandbox, NAMES.targets(Repository("octo", "gone")), "[]"):
            rotated = pulley("secret", "rotate", "--dry-run")
            examined = pulley("doctor", "--json")
        assert "octo/site" in rotated.stderr
        assert "octo/gone" not in rotated.stderr + examined.stdout

    @pytest.mark.parametrize("wait", ["nan", "inf", "1e20", "-1", "3601"])
    def test_wait_out_of_range_is_a_wrong_command_line(self, pulley: Pulley, wait: str) -> None:
        assert pulley("secret", "rotate", "--wait", wait, "--yes").exit_code == 2
        assert pulley("connect", "octo/site", "--wait", wait).exit_code == 2

    def test_finish_with_one_secret_has_nothing_to_do(self, pulley: Pulley) -> None:
        done = pulley("secret", "rotate", "--finish")
        assert done.stdout == "Nothing to do: /pulley/dev/webhook-secret has one secret.\n"
        assert done.exit_code == 0

    def test_repository_without_its_own_secret_is_refused(self, pulley: Pulley) -> None:
        done = pulley("secret", "rotate", "--repository", "octo/site", "--yes")
        assert done.exit_code == 1
        assert "octo/site has no secret of its own" in done.stderr
