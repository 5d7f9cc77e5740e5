"""Pushes and rounds end to end: real git, real HTTP, the real app, document and script."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

import pytest
import urllib3
from git import Repo

from chalicelib.core.refs import Repository
from chalicelib.core.results import HostResult
from chalicelib.core.stored import ParameterNames
from pulley.demo import _commands_of, _push
from pulley.sandbox.github.deliveries import WebhookAnswer, post_delivery, push_payload
from pulley.sandbox.github.server import HostedHook
from pulley.sandbox.sandbox import FULL_NAME, STAGE, TARGET, Sandbox
from tests.sandbox.listener import Listener

NAMES = ParameterNames(STAGE)


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(["web-1", "web-2"]) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """The shared sandbox, with every host at the branch's tip and nothing pinned."""
    for machine in shared.machines:
        machine.host.wake()
    pin(shared, {"state": "none"})
    return shared


def store(sandbox: Sandbox, name: str, value: object) -> None:
    sandbox.account.ssm.put_parameter(
        Name=name, Value=json.dumps(value), Type="String", Overwrite=True
    )


def pin(sandbox: Sandbox, value: dict[str, str]) -> None:
    store(sandbox, NAMES.pin("web"), value)


def push(sandbox: Sandbox, *arguments: str) -> list[WebhookAnswer]:
    """Push, and return the webhook's answer to each delivery."""
    done = subprocess.run(
        ["git", "push", "-q", "origin", *arguments],
        cwd=sandbox.developer.working_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [line.partition("Pulley answered ")[2].strip() for line in done.stderr.splitlines()]
    split = [answer.split(": ", 1) for answer in answers if answer]
    return [WebhookAnswer(int(status), json.loads(body)) for status, body in split]


def results_of(sandbox: Sandbox, answer: WebhookAnswer) -> Mapping[str, HostResult]:
    assert answer.status == 202, answer
    (deployment,) = cast("list[dict[str, str]]", answer.body["deployments"])
    sandbox.account.wait_until_ended(deployment["command_id"])
    results = sandbox.results(deployment["command_id"])
    by_host = {name: result for name, result in results.items() if isinstance(result, HostResult)}
    assert by_host == results
    return by_host


def push_without_delivery(sandbox: Sandbox) -> None:
    """Push, and lose the delivery."""
    with sandbox.upstream.losing_deliveries():
        subprocess.run(
            ["git", "push", "-q", "origin", "main"], cwd=sandbox.developer.working_dir, check=True
        )


def heads(sandbox: Sandbox) -> dict[str, str]:
    return {machine.name: machine.head() for machine in sandbox.machines}


def count_commands(sandbox: Sandbox) -> int:
    return len(sandbox.account.run_command.commands())


class TestRounds:
    def test_round_after_a_lost_delivery_updates_woken_and_new_hosts(
        self, sandbox: Sandbox
    ) -> None:
        sandbox.commit({"index.html": "one\n"}, "One")
        _push(sandbox.developer)
        sandbox.wait_until_quiet()
        sandbox.machines[1].host.sleep()
        commit = sandbox.commit({"index.html": "two\n"}, "Two")
        push_without_delivery(sandbox)
        sandbox.machines[1].host.wake()
        sandbox.add_machine("web-3")
        assert sandbox.reconcile()["sent"] == 1  # one command for all three hosts
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {commit}
        (healed,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit)
        assert healed.state == "success"
        sandbox.terminate_machine(sandbox.machines[2])

    def test_round_with_every_host_at_the_tip_sends_nothing(self, sandbox: Sandbox) -> None:
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        before = count_commands(sandbox)
        assert [sandbox.reconcile()["sent"] for _ in range(2)] == [0, 0]
        assert count_commands(sandbox) == before

    def test_round_syncs_a_deployment_whose_events_were_lost(self, sandbox: Sandbox) -> None:
        commit = sandbox.commit({"index.html": "unreported\n"}, "Unreported")
        sandbox.reporter.pattern = {"source": ["nobody"]}  # every event of this push is lost
        try:
            (command,) = _commands_of(_push(sandbox.developer))
            sandbox.account.wait_until_ended(command)
            sandbox.wait_until_reported()
        finally:
            sandbox.reporter.pattern = {"source": ["aws.ssm"]}
        (unsynced,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit)
        assert unsynced.state == "pending"
        assert sandbox.reconcile()["sent"] == 0
        synced = sandbox.deployment(command)
        assert synced is not None
        assert synced.state == "success"

    def test_frozen_target_is_updated_only_after_the_freeze_ends(self, sandbox: Sandbox) -> None:
        before = heads(sandbox)
        pin(sandbox, {"state": "frozen", "reason": "a holiday"})
        commit = sandbox.commit({"index.html": "later\n"}, "Later")
        push_without_delivery(sandbox)
        assert sandbox.reconcile()["sent"] == 0
        assert heads(sandbox) == before
        pin(sandbox, {"state": "none"})
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {commit}

    def test_round_moves_hosts_to_the_pin_and_back_to_the_tip(self, sandbox: Sandbox) -> None:
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        tip = sandbox.developer.head.commit.hexsha
        earlier = sandbox.developer.commit("HEAD~1").hexsha
        pin(sandbox, {"state": "pinned", "commit": earlier})
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {earlier}
        assert sandbox.reconcile()["sent"] == 0
        pin(sandbox, {"state": "none"})
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {tip}
        assert sandbox.machines[0].git("symbolic-ref", "--short", "HEAD") == "main"

    def test_stopped_host_counts_as_offline_even_if_it_once_had_the_commit(
        self, sandbox: Sandbox
    ) -> None:
        old = sandbox.developer.head.commit.hexsha
        sandbox.commit({"index.html": "newer\n"}, "Newer")
        _push(sandbox.developer)
        sandbox.wait_until_quiet()
        machine = sandbox.machines[0]
        sandbox.account.ec2.stop_instances(InstanceIds=[machine.host.instance_id])
        try:
            sandbox.developer.git.reset("-q", "--hard", old)
            sandbox.developer.git.push("-q", "--force", "origin", "main")
            sandbox.wait_until_quiet()
            (back,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == old)
            assert back.state == "success"
            assert back.status is not None
            assert "1 offline, will catch up" in back.status.description
        finally:
            sandbox.account.ec2.start_instances(InstanceIds=[machine.host.instance_id])
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {old}


class TestPush:
    def test_new_commit_moves_every_host(self, sandbox: Sandbox) -> None:
        commit = sandbox.commit({"index.html": "new\n"}, "New")
        (answer,) = push(sandbox, "main")
        results = results_of(sandbox, answer)
        assert {name: result.after for name, result in results.items()} == {
            "web-1": commit,
            "web-2": commit,
        }
        assert [machine.head() for machine in sandbox.machines] == [commit, commit]
        assert (sandbox.machines[0].checkout / "build/index.html").read_text() == "new\n"
        assert "reload-or-restart -- site.service" in sandbox.machines[0].journal.read_text()

    def test_redelivered_push_changes_nothing(self, sandbox: Sandbox) -> None:
        old = sandbox.developer.head.commit.hexsha
        new = sandbox.commit({"index.html": "again\n"}, "Again")
        results_of(sandbox, push(sandbox, "main")[0])
        with Repo(sandbox.upstream.path) as upstream:
            body = push_payload(upstream, FULL_NAME, "refs/heads/main", old, new)
        results = results_of(sandbox, post_delivery(sandbox.webhook.url, body, sandbox.secret))
        assert {result.outcome for result in results.values()} == {"unchanged"}

    def test_forced_push_moves_every_host(self, sandbox: Sandbox) -> None:
        sandbox.commit({"index.html": "regretted\n"}, "Regretted")
        results_of(sandbox, push(sandbox, "main")[0])
        sandbox.developer.git.reset("-q", "--hard", "HEAD~1")
        commit = sandbox.commit({"index.html": "better\n"}, "Better")
        results_of(sandbox, push(sandbox, "--force", "main")[0])
        assert [machine.head() for machine in sandbox.machines] == [commit, commit]

    def test_other_branch_its_deletion_and_a_tag_move_no_host(self, sandbox: Sandbox) -> None:
        heads = [machine.head() for machine in sandbox.machines]
        (made,) = push(sandbox, "HEAD:refs/heads/feature/$(id)")
        (gone,) = push(sandbox, "--delete", "refs/heads/feature/$(id)")
        (tag,) = push(sandbox, "HEAD:refs/tags/v1")
        assert [made.status, gone.status, tag.status] == [200, 200, 200]
        assert "no target" in str(made.body["ignored"])
        assert "deleted" in str(gone.body["ignored"])
        assert [machine.head() for machine in sandbox.machines] == heads


class TestHosts:
    def test_host_with_a_conflict_keeps_its_commit_and_the_others_update(
        self, sandbox: Sandbox
    ) -> None:
        machine = sandbox.machines[1]
        before = machine.head()
        machine.commit("index.html", "mine\n", "Mine")
        mine = machine.head()
        commit = sandbox.commit({"index.html": "theirs\n"}, "Theirs")
        results = results_of(sandbox, push(sandbox, "main")[0])
        assert results["web-1"].after == commit
        assert (results["web-2"].outcome, results["web-2"].after) == ("conflict", mine)
        assert "index.html" in results["web-2"].detail
        machine.git("reset", "-q", "--hard", before)

    def test_sleeping_host_gets_the_command_when_it_wakes(self, sandbox: Sandbox) -> None:
        sandbox.machines[1].host.sleep()
        commit = sandbox.commit({"index.html": "early\n"}, "Early")
        (answer,) = push(sandbox, "main")
        sandbox.machines[1].host.wake()
        assert results_of(sandbox, answer)["web-2"].after == commit

    def test_host_of_another_stage_gets_no_command(self, sandbox: Sandbox) -> None:
        root = sandbox.directory / "hosts/other"
        root.mkdir(parents=True)
        sandbox.account.add_host("other", tags={"pulley": "prod", "role": "web"}, root=root)
        sandbox.commit({"index.html": "staged\n"}, "Staged")
        assert set(results_of(sandbox, push(sandbox, "main")[0])) == {"web-1", "web-2"}


class TestOperator:
    def test_frozen_target_keeps_its_hosts_and_the_answer_gives_the_reason(
        self, sandbox: Sandbox
    ) -> None:
        pin(sandbox, {"state": "frozen", "reason": "a holiday"})
        heads = [machine.head() for machine in sandbox.machines]
        sandbox.commit({"index.html": "held\n"}, "Held")
        (answer,) = push(sandbox, "main")
        assert answer.status == 200
        assert "a holiday" in str(answer.body["ignored"])
        assert [machine.head() for machine in sandbox.machines] == heads

    def test_push_fails_if_the_stored_document_hash_differs(self, sandbox: Sandbox) -> None:
        stored = json.loads(
            sandbox.account.ssm.get_parameter(Name=NAMES.document)["Parameter"]["Value"]
        )
        store(sandbox, NAMES.document, stored | {"hash": "0" * 64})
        try:
            sandbox.commit({"index.html": "refused\n"}, "Refused")
            (answer,) = push(sandbox, "main")
            assert answer.status == 502
            assert answer.body["deployments"] == []
        finally:
            store(sandbox, NAMES.document, stored)


class TestRollOut:
    def test_stopped_roll_out_lists_the_hosts_that_did_not_run(self, sandbox: Sandbox) -> None:
        repository = "octo/canary"  # no host has a checkout of it, so the first host fails
        target = {**TARGET, "name": "canary", "repository": repository, "max_concurrency": 1}
        store(sandbox, NAMES.targets(Repository.parse(repository)), [target])
        body = {
            "ref": "refs/heads/main",
            "after": "1" * 40,
            "repository": {"full_name": repository},
        }
        answer = post_delivery(sandbox.webhook.url, json.dumps(body).encode(), sandbox.secret)
        (deployment,) = cast("list[dict[str, str]]", answer.body["deployments"])
        sandbox.account.wait_until_ended(deployment["command_id"])
        first, second = sandbox.results(deployment["command_id"]).values()
        assert isinstance(first, HostResult)
        assert first.outcome == "no_checkout"
        assert str(second) == "not run: Terminated"


class TestWebhooks:
    """A push reaches the webhooks that the repository has on GitHub at that time."""

    @pytest.fixture
    def hook(self, sandbox: Sandbox) -> Iterator[HostedHook]:
        """The sandbox's own webhook, restored after the test."""
        (hook,) = sandbox.github.hooks(FULL_NAME)
        config, events = hook.config, hook.events
        yield hook
        hook.config, hook.events, hook.active = config, events, True

    @pytest.fixture
    def other(self, sandbox: Sandbox, listener: Listener) -> Iterator[HostedHook]:
        """A second webhook, of another service."""
        made = sandbox.github.add_hook(FULL_NAME, listener.url.replace("/github", "/ci"))
        yield made
        assert api(sandbox, "DELETE", f"/{made.id}").status == 204

    def test_sandbox_has_made_its_webhook_through_the_api_and_got_a_ping(
        self, sandbox: Sandbox, hook: HostedHook
    ) -> None:
        sandbox.github.hookshot.wait_until_idle()
        (shown,) = api(sandbox, "GET").json()
        assert shown["config"]["url"] == sandbox.environ["PULLEY_WEBHOOK_URL"]
        assert (hook.config.secret, hook.events) == (sandbox.secret.decode(), ("push",))
        ping = hook.deliveries[0]
        assert (ping.event, ping.status_code) == ("ping", 200)
        assert "a push will deploy" in ping.response

    def test_delivery_of_a_push_is_recorded_with_its_answer(
        self, sandbox: Sandbox, hook: HostedHook
    ) -> None:
        commit = sandbox.commit({"index.html": "recorded\n"}, "Recorded")
        (answer,) = push(sandbox, "main")
        delivery = hook.deliveries[-1]
        assert (delivery.event, delivery.status_code) == ("push", 202)
        assert delivery.payload["after"] == commit
        assert json.loads(delivery.response) == answer.body
        assert answer.body["delivery"] == delivery.guid
        results_of(sandbox, answer)

    def test_refused_delivery_is_accepted_when_redelivered_with_the_right_secret(
        self, sandbox: Sandbox, hook: HostedHook
    ) -> None:
        api(sandbox, "PATCH", f"/{hook.id}/config", {"secret": "another"})
        commit = sandbox.commit({"index.html": "redelivered\n"}, "Redelivered")
        assert [answer.status for answer in push(sandbox, "main")] == [401]
        (newest, *_) = api(sandbox, "GET", f"/{hook.id}/deliveries").json()
        api(sandbox, "PATCH", f"/{hook.id}/config", {"secret": sandbox.secret.decode()})
        again = f"/{hook.id}/deliveries/{newest['id']}/attempts"
        assert api(sandbox, "POST", again).status == 202
        sandbox.github.hookshot.wait_until_idle()
        delivery = hook.deliveries[-1]
        assert (delivery.status_code, delivery.redelivery) == (202, True)
        assert delivery.guid == newest["guid"]
        results_of(sandbox, WebhookAnswer(202, json.loads(delivery.response)))
        assert sandbox.machines[0].head() == commit

    @pytest.mark.parametrize("change", [{"active": False}, {"events": ["release"]}])
    def test_inactive_webhook_or_one_without_pushes_gets_no_delivery(
        self, sandbox: Sandbox, hook: HostedHook, change: dict[str, object]
    ) -> None:
        before = len(hook.deliveries)
        assert api(sandbox, "PATCH", f"/{hook.id}", change).status == 200
        sandbox.commit({"index.html": "unwanted\n"}, "Unwanted")
        assert push(sandbox, "main") == []
        assert len(hook.deliveries) == before

    def test_each_webhook_gets_the_push_signed_only_if_it_has_a_secret(
        self, sandbox: Sandbox, hook: HostedHook, other: HostedHook, listener: Listener
    ) -> None:
        commit = sandbox.commit({"index.html": "both\n"}, "Both")
        (answer,) = push(sandbox, "main")
        results_of(sandbox, answer)
        (posted,) = listener.posted
        assert json.loads(posted.body)["after"] == commit
        assert "x-hub-signature-256" not in posted.headers
        assert posted.headers["x-github-hook-id"] == str(other.id) != str(hook.id)

    def test_pusher_sees_which_webhook_did_not_answer(
        self, sandbox: Sandbox, hook: HostedHook, other: HostedHook
    ) -> None:
        hook.config = replace(hook.config, url="http://127.0.0.1:1/github")
        sandbox.commit({"index.html": "nobody\n"}, "Nobody")
        done = subprocess.run(
            ["git", "push", "-q", "origin", "main"],
            cwd=sandbox.developer.working_dir,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Pulley did not answer: failed to connect to host" in done.stderr
        assert f"{other.url} answered 202: " in done.stderr

    def test_lost_delivery_reaches_no_webhook(self, sandbox: Sandbox, hook: HostedHook) -> None:
        before = len(hook.deliveries)
        with sandbox.upstream.losing_deliveries():
            sandbox.commit({"index.html": "lost\n"}, "Lost")
            assert push(sandbox, "main") == []
        assert len(hook.deliveries) == before

    def test_check_of_the_sandbox_s_ci_server_reaches_the_webhook_if_it_subscribes(
        self, sandbox: Sandbox, hook: HostedHook
    ) -> None:
        with Repo(sandbox.upstream.path) as upstream:
            tip = upstream.commit("main").hexsha
        assert sandbox.checker.finish_check(tip, "test", "failure") == []
        hook.events = ("push", "check_suite")
        (delivery,) = sandbox.checker.finish_check(tip, "test")
        assert delivery.event == "check_suite"
        assert delivery.status_code // 100 == 2, delivery.response  # the app accepts its signature

    @pytest.mark.parametrize("key", ["", "Bearer x", "caf\u00e9"])
    def test_push_notice_without_the_key_is_a_404_and_delivers_nothing(
        self, sandbox: Sandbox, hook: HostedHook, key: str
    ) -> None:
        before = len(hook.deliveries)
        notice = {"full_name": FULL_NAME, "pushes": []}
        answer = urllib3.request(
            "POST", sandbox.github.push_url, json=notice, headers={"Authorization": key}
        )
        assert answer.status == 404
        assert len(hook.deliveries) == before


def api(
    sandbox: Sandbox, method: str, below: str = "", body: object = None
) -> urllib3.BaseHTTPResponse:
    """Call GitHub's API for the repository's webhooks."""
    return urllib3.request(
        method,
        f"{sandbox.github.api_url}/repos/{FULL_NAME}/hooks{below}",
        json={} if body is None and method != "GET" else body,
        headers={"Authorization": f"Bearer {sandbox.token}"},
    )
