"""A push, end to end: real git, real HTTP, the real app, document and script."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import cast

import pytest
from git import Repo

from chalicelib.core.commands import HostResult
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.deliveries import Answer, post_delivery, push_payload
from pulley.sandbox.sandbox import FULL_NAME, STAGE, TARGET, Sandbox

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
    store(shared, NAMES.pin("web"), {"state": "none"})
    return shared


def store(sandbox: Sandbox, name: str, value: object) -> None:
    sandbox.account.ssm.put_parameter(
        Name=name, Value=json.dumps(value), Type="String", Overwrite=True
    )


def push(sandbox: Sandbox, *arguments: str) -> list[Answer]:
    """Push, and return the webhook's answer to each delivery."""
    done = subprocess.run(
        ["git", "push", "-q", "origin", *arguments],
        cwd=sandbox.developer.working_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line.partition("Pulley answered ")[2].strip() for line in done.stderr.splitlines()]
    split = [answer.split(": ", 1) for answer in told if answer]
    return [Answer(int(status), json.loads(body)) for status, body in split]


def results_of(sandbox: Sandbox, answer: Answer) -> Mapping[str, HostResult]:
    assert answer.status == 202, answer
    (deployment,) = cast("list[dict[str, str]]", answer.body["deployments"])
    sandbox.account.wait_until_ended(deployment["command_id"])
    results = sandbox.results(deployment["command_id"])
    told = {name: result for name, result in results.items() if isinstance(result, HostResult)}
    assert told == results
    return told


class TestPush:
    def test_of_a_new_commit_moves_every_host(self, sandbox: Sandbox) -> None:
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

    def test_delivered_again_changes_nothing(self, sandbox: Sandbox) -> None:
        old = sandbox.developer.head.commit.hexsha
        new = sandbox.commit({"index.html": "again\n"}, "Again")
        results_of(sandbox, push(sandbox, "main")[0])
        with Repo(sandbox.upstream.path) as upstream:
            body = push_payload(upstream, FULL_NAME, "refs/heads/main", old, new)
        results = results_of(sandbox, post_delivery(sandbox.webhook.url, body, sandbox.secret))
        assert {result.outcome for result in results.values()} == {"unchanged"}

    def test_by_force_is_followed(self, sandbox: Sandbox) -> None:
        sandbox.commit({"index.html": "regretted\n"}, "Regretted")
        results_of(sandbox, push(sandbox, "main")[0])
        sandbox.developer.git.reset("-q", "--hard", "HEAD~1")
        commit = sandbox.commit({"index.html": "better\n"}, "Better")
        results_of(sandbox, push(sandbox, "--force", "main")[0])
        assert [machine.head() for machine in sandbox.machines] == [commit, commit]

    def test_of_a_message_full_of_shell_runs_none_of_it(self, sandbox: Sandbox) -> None:
        marker = sandbox.directory / "pwned"
        evil = f"'; touch {marker}; $(touch {marker}) `touch {marker}` {{{{ssm:/x}}}} \"\\"
        commit = sandbox.commit({"index.html": "evil\n", "a;touch pwned": "x\n"}, evil)
        results_of(sandbox, push(sandbox, "main")[0])
        assert sandbox.machines[0].head() == commit
        assert not list(sandbox.directory.rglob("pwned"))

    def test_of_another_branch_and_its_deletion_move_nothing(self, sandbox: Sandbox) -> None:
        heads = [machine.head() for machine in sandbox.machines]
        (made,) = push(sandbox, "HEAD:refs/heads/feature/$(id)")
        (gone,) = push(sandbox, "--delete", "refs/heads/feature/$(id)")
        (tag,) = push(sandbox, "HEAD:refs/tags/v1")
        assert [made.status, gone.status, tag.status] == [200, 200, 200]
        assert "no target" in str(made.body["ignored"])
        assert "deleted" in str(gone.body["ignored"])
        assert [machine.head() for machine in sandbox.machines] == heads


class TestHosts:
    def test_one_with_a_conflict_fails_alone_and_stays_as_it_was(self, sandbox: Sandbox) -> None:
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

    def test_one_that_is_asleep_gets_the_command_when_it_wakes(self, sandbox: Sandbox) -> None:
        sandbox.machines[1].host.sleep()
        commit = sandbox.commit({"index.html": "early\n"}, "Early")
        (answer,) = push(sandbox, "main")
        sandbox.machines[1].host.wake()
        assert results_of(sandbox, answer)["web-2"].after == commit

    def test_one_of_another_stage_is_not_asked(self, sandbox: Sandbox) -> None:
        root = sandbox.directory / "hosts/other"
        root.mkdir(parents=True)
        sandbox.account.add_host("other", tags={"pulley": "prod", "role": "web"}, root=root)
        sandbox.commit({"index.html": "staged\n"}, "Staged")
        assert set(results_of(sandbox, push(sandbox, "main")[0])) == {"web-1", "web-2"}


class TestHealthCheck:
    def test_release_that_fails_it_is_rolled_back_and_one_that_mends_it_stays(
        self, sandbox: Sandbox
    ) -> None:
        before = sandbox.commit({"index.html": "healthy\n"}, "Healthy")
        results_of(sandbox, push(sandbox, "main")[0])
        sandbox.developer.index.remove(["health"], working_tree=True)
        sandbox.commit({"index.html": "ill\n"}, "Ill")
        results = results_of(sandbox, push(sandbox, "main")[0])
        assert {(one.outcome, one.step, one.after) for one in results.values()} == {
            ("rolled_back", "health_check", before)
        }
        assert "404" in results["web-1"].detail
        for machine in sandbox.machines:
            assert (machine.checkout / "build/index.html").read_text() == "healthy\n"
            assert (machine.checkout / "build/health").exists()
        mended = sandbox.commit({"health": "ok\n"}, "Mended")
        results = results_of(sandbox, push(sandbox, "main")[0])
        assert {(one.outcome, one.after) for one in results.values()} == {("updated", mended)}


class TestOperator:
    @pytest.mark.parametrize(
        "pin",
        [
            {"state": "frozen", "reason": "a holiday"},
            {"state": "pinned", "commit": "1" * 40, "reason": "a holiday"},
        ],
    )
    def test_a_pin_holds_the_hosts_and_says_why(
        self, sandbox: Sandbox, pin: dict[str, str]
    ) -> None:
        store(sandbox, NAMES.pin("web"), pin)
        heads = [machine.head() for machine in sandbox.machines]
        sandbox.commit({"index.html": "held\n"}, "Held")
        (answer,) = push(sandbox, "main")
        assert answer.status == 200
        assert "a holiday" in str(answer.body["ignored"])
        assert [machine.head() for machine in sandbox.machines] == heads

    def test_a_rotated_secret_opens_at_once(self, sandbox: Sandbox) -> None:
        body = json.dumps({"repository": {"full_name": FULL_NAME}}).encode()
        assert post_delivery(sandbox.webhook.url, body, sandbox.secret, event="ping").status == 200
        sandbox.account.ssm.put_parameter(
            Name=NAMES.webhook_secret,
            Value="the new one\n" + sandbox.secret.decode(),
            Type="SecureString",
            Overwrite=True,
        )
        for secret in (b"the new one", sandbox.secret):
            answer = post_delivery(sandbox.webhook.url, body, secret, event="ping")
            assert answer.status == 200

    def test_an_edited_document_is_refused(self, sandbox: Sandbox) -> None:
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

    def test_no_host_with_the_tags_is_still_an_answer(self, sandbox: Sandbox) -> None:
        repository = "octo/empty"
        target = {**TARGET, "name": "empty", "repository": repository}
        target["instances"] = {"tags": {"role": "nothing"}}
        store(sandbox, NAMES.targets(Repository.parse(repository)), [target])
        body = {
            "ref": "refs/heads/main",
            "after": "1" * 40,
            "repository": {"full_name": repository},
        }
        answer = post_delivery(sandbox.webhook.url, json.dumps(body).encode(), sandbox.secret)
        assert results_of(sandbox, answer) == {}


class TestRollOut:
    def test_one_that_stops_tells_of_the_hosts_that_were_not_begun(self, sandbox: Sandbox) -> None:
        repository = "octo/canary"  # of which no host has a checkout, so that the first one fails
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
