"""pin, freeze, unpin and rollback: what is stored and said, and what becomes of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from chalicelib.core.errors import RefusedError
from chalicelib.core.stored import ParameterNames
from chalicelib.edges.hosts import HostDirectory
from pulley.sandbox.sandbox import STAGE, Sandbox
from tests.cli.conftest import Pulley, json_of
from tests.fakes import SITE

PIN = ParameterNames(STAGE).pin("web")
OTHER = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"


@pytest.fixture(autouse=True)
def unpinned(sandbox: Sandbox) -> Iterator[None]:
    yield
    store(sandbox, '{"state": "none"}')


def store(sandbox: Sandbox, value: str) -> None:
    sandbox.account.ssm.put_parameter(Name=PIN, Value=value, Type="String", Overwrite=True)


def stored(sandbox: Sandbox) -> tuple[dict[str, str | None], int]:
    found = sandbox.account.ssm.get_parameter(Name=PIN)["Parameter"]
    return json.loads(found["Value"]), found["Version"]


def push(sandbox: Sandbox, words: str, **files: str) -> str:
    commit = sandbox.commit({"index.html": f"<h1>{words}</h1>\n"} | files, words)
    sandbox.developer.git.push("-q")
    sandbox.wait_until_quiet()
    return commit


def deploy(sandbox: Sandbox, pulley: Pulley, words: str) -> str:
    """Push and deploy, without waiting for hosts that are asleep."""
    commit = sandbox.commit({"index.html": f"<h1>{words}</h1>\n"}, words)
    with sandbox.upstream.losing_deliveries():
        sandbox.developer.git.push("-q")
    assert pulley("deploy", "web").exit_code == 0
    return commit


class TestPin:
    def test_whole_pin_is_stored_and_what_was_before_is_said(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        assert pulley("freeze", "web", "--reason", "a holiday").exit_code == 0
        done = pulley("pin", "web", OTHER, "--yes", "--reason", "the fair", "--until", "3d")
        assert done.exit_code == 0
        assert "Before: web was frozen: a holiday (by " in done.stdout
        assert "Now: web is pinned at 4d5e6f7 until " in done.stdout
        assert "now: pulley deploy web" in done.stdout
        pin, _ = stored(sandbox)
        until, at = (datetime.fromisoformat(pin[key] or "") for key in ("until", "at"))
        assert until - at == timedelta(days=3)
        assert at.utcoffset() == timedelta(0)
        assert pin | {"until": "", "at": ""} == {
            "state": "pinned",
            "commit": OTHER,
            "reason": "the fair",
            "by": pin["by"],
            "at": "",
            "until": "",
        }
        assert pin["by"]

    def test_same_pin_again_stores_nothing(self, sandbox: Sandbox, pulley: Pulley) -> None:
        pulley("pin", "web", OTHER, "--yes", "--reason", "the fair")
        before = stored(sandbox)
        done = pulley("pin", "web", OTHER, "--yes", "--reason", "the  fair")
        assert done.exit_code == 0
        assert done.stdout.startswith("Nothing to do: web is pinned at 4d5e6f7: the fair (by ")
        assert stored(sandbox) == before

    def test_json_has_before_and_now(self, pulley: Pulley) -> None:
        pulley("freeze", "web", "--reason", "a holiday")
        found = json_of(pulley("pin", "web", OTHER, "--yes", "--reason", "the fair", "--json"))
        assert (found["target"], found["changed"]) == ("web", True)
        assert found["before"]["state"] == "frozen"
        assert (found["now"]["state"], found["now"]["commit"]) == ("pinned", OTHER)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("4d5e6f7", "--reason", "x"), "stand in a clone of octo/site"),
            ((OTHER,), "Missing option '--reason'"),
            ((OTHER, "--reason", " "), "must be 1 to 300 characters"),
            ((OTHER, "--reason", "x", "--until", "1999-01-01"), "must be in the future"),
            ((OTHER, "--reason", "x", "--until", "soon"), "must be a length like 90m"),
        ],
    )
    def test_wrong_command_line_is_told_and_stores_nothing(
        self, sandbox: Sandbox, pulley: Pulley, arguments: tuple[str, ...], words: str
    ) -> None:
        store(sandbox, '{"state": "none"}')
        before = stored(sandbox)
        done = pulley("pin", "web", *arguments)
        assert done.exit_code == 2
        assert words in done.stderr
        assert stored(sandbox) == before

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (
                ("pin", "web", "4d5e6f7", "--until", "soon"),
                [
                    "Missing option '--reason'",
                    "--until: must be",
                    "COMMIT: '4d5e6f7' is no full id",
                ],
            ),
            (("pin", "api", OTHER), ["Missing option '--reason'", "there is no target api"]),
            (
                ("freeze", "api", "--reason", " ", "--until", "soon"),
                ["--reason: must be", "--until: must be", "there is no target api"],
            ),
            (("unpin", "api", "--reason", " "), ["--reason: must be", "there is no target api"]),
            (("rollback", "api", "--reason", " "), ["--reason: must be", "there is no target api"]),
        ],
    )
    def test_every_problem_of_a_command_line_is_told_at_once(
        self, pulley: Pulley, arguments: tuple[str, ...], words: list[str]
    ) -> None:
        done = pulley(*arguments)
        assert done.exit_code == 2
        assert [one for one in words if one not in done.stderr.replace('"', "'")] == []

    def test_target_that_is_not_there_is_told_with_those_that_are(self, pulley: Pulley) -> None:
        done = pulley("pin", "api", OTHER, "--reason", "x")
        assert done.exit_code == 1
        assert done.stderr == "Error: there is no target api; there is web\n"

    def test_in_a_clone_a_short_id_will_do_and_a_stray_commit_is_asked_about(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(sandbox.developer.working_dir)
        tip = sandbox.developer.head.commit.hexsha
        done = pulley("pin", "web", tip[:9], "--reason", "the fair")
        assert (done.exit_code, done.stderr) == (0, "")
        assert stored(sandbox)[0]["commit"] == tip
        done = pulley("pin", "web", OTHER, "--reason", "the fair")
        assert done.exit_code == 4
        assert "this clone does not know whether 4d5e6f7 is in main" in done.stderr
        assert stored(sandbox)[0]["commit"] == tip
        assert pulley("pin", "web", OTHER, "--reason", "the fair", "--yes").exit_code == 0
        assert stored(sandbox)[0]["commit"] == OTHER

    def test_commit_that_was_deployed_is_pinned_without_a_question(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        commit = push(sandbox, "good")
        assert pulley("pin", "web", OTHER, "--reason", "x").exit_code == 4
        done = pulley("pin", "web", commit, "--reason", "the fair")
        assert (done.exit_code, done.stderr) == (0, "")

    def test_commit_that_failed_everywhere_is_refused_and_forced(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        script = (Path(sandbox.developer.working_dir) / "deploy/after-pull").read_text()
        bad = push(sandbox, "fails", **{"deploy/after-pull": "#!/bin/sh\nexit 7\n"})
        arguments = "pin", "web", bad, "--yes", "--reason", "the fair"
        done = pulley(*arguments)
        assert done.exit_code == 1
        said = f"Error: {bad[:7]} failed on every host that it was tried on (web-1, "
        assert said in done.stderr
        assert "rolled back: after pull: " in done.stderr
        assert "--force pins web at it all the same" in done.stderr
        assert stored(sandbox)[0]["state"] == "none"
        done = pulley(*arguments, "--force")
        assert done.exit_code == 0
        assert f"Warning: {said.removeprefix('Error: ')}" in done.stderr
        assert stored(sandbox)[0]["commit"] == bad
        store(sandbox, '{"state": "none"}')
        push(sandbox, "works again", **{"deploy/after-pull": script})

    def test_another_operator_s_pin_of_the_same_moment_is_not_lost(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store(sandbox, '{"state": "none"}')
        read = "pulley.cli.pinned.read_pin"
        from pulley.operator.deploy import pin  # noqa: PLC0415 - the one that is replaced

        def read_then_another(*arguments: object) -> object:
            found = pin.read_pin(*arguments)  # type: ignore[arg-type]
            store(sandbox, '{"state": "frozen", "reason": "theirs"}')
            return found

        monkeypatch.setattr(read, read_then_another)
        done = pulley("pin", "web", OTHER, "--yes", "--reason", "mine")
        assert done.exit_code == 0
        assert "was overwritten. It was stored after you looked" in done.stderr
        assert "theirs" in done.stderr
        assert stored(sandbox)[0]["reason"] == "mine"


class TestUnpin:
    def test_none_is_stored_and_never_a_deletion(self, sandbox: Sandbox, pulley: Pulley) -> None:
        pulley("freeze", "web", "--reason", "a holiday")
        _, version = stored(sandbox)
        done = pulley("unpin", "web")
        assert done.exit_code == 0
        assert "Before: web was frozen: a holiday" in done.stdout
        pin, now = stored(sandbox)
        assert (pin["state"], now) == ("none", version + 1)

    @pytest.mark.parametrize(
        "value", ['{"state": "none"}', '{"state": "frozen", "until": "2001-01-01T00:00:00Z"}']
    )
    def test_where_nothing_holds_there_is_nothing_to_do(
        self, sandbox: Sandbox, pulley: Pulley, value: str
    ) -> None:
        store(sandbox, value)
        before = stored(sandbox)
        done = pulley("unpin", "web")
        assert done.stdout == "Nothing to do: web is not pinned: it follows its branch.\n"
        assert (done.exit_code, stored(sandbox)) == (0, before)

    def test_pin_that_cannot_be_read_is_mended(self, sandbox: Sandbox, pulley: Pulley) -> None:
        store(sandbox, "{")
        done = pulley("unpin", "web")
        assert done.exit_code == 0
        assert "Before: a pin that cannot be read: must be JSON" in done.stdout
        assert stored(sandbox)[0]["state"] == "none"


class TestUnpinSaysWhereHostsGo:
    def test_commit_that_was_rolled_back_from_comes_back_only_when_that_is_agreed(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        good, bad = push(sandbox, "well"), push(sandbox, "not well")
        assert pulley("rollback", "web", "--yes").exit_code == 0
        asked = pulley("unpin", "web")
        assert asked.exit_code == 4
        assert f"web: hosts go to {bad[:7]} (it is the branch's tip" in asked.stderr
        assert f"{bad[:7]} is the commit that web was rolled back from" in asked.stderr
        assert stored(sandbox)[0]["commit"] == good
        told = json_of(pulley("unpin", "web", "--yes", "--json"))
        assert (told["next"]["wanted"]["commit"], told["next"]["held"]) == (bad, None)
        assert told["next"]["rolled_back_from"] is True
        assert stored(sandbox)[0]["state"] == "none"

    def test_commit_that_is_newer_than_the_roll_back_is_named_and_not_asked_about(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        push(sandbox, "well, too")
        push(sandbox, "not well, too")
        assert pulley("rollback", "web", "--yes").exit_code == 0
        fixed = push(sandbox, "fixed")
        done = pulley("unpin", "web")
        assert done.exit_code == 0
        assert f"web: hosts go to {fixed[:7]}" in done.stderr
        assert "rolled back from" not in done.stderr
        assert "Its hosts get there in the next round. To have" in done.stdout

    def test_where_it_cannot_be_read_the_pin_is_taken_off_all_the_same(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_directory: HostDirectory) -> NoReturn:
            raise RefusedError("AWS refused listing the hosts")

        store(sandbox, '{"state": "frozen"}')
        monkeypatch.setattr(HostDirectory, "hosts", refuse)
        done = pulley("unpin", "web", "--json")
        assert "which commit hosts go to is not known: AWS refused listing" in done.stderr
        assert json_of(done)["next"] is None
        assert stored(sandbox)[0]["state"] == "none"


class TestPushWhileHeld:
    def test_commit_says_why_it_does_not_run_and_runs_after_all_when_it_may(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        pulley("freeze", "web", "--reason", "a holiday")
        before = [machine.head() for machine in sandbox.machines]
        commit = push(sandbox, "while frozen")
        (made,) = (one for one in sandbox.github.deployments("octo/site") if one.sha == commit)
        assert states(sandbox, commit) == ["inactive"]
        assert made.statuses[-1].description == "not deployed: frozen: a holiday"
        assert [machine.head() for machine in sandbox.machines] == before
        pulley("unpin", "web")
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert states(sandbox, commit)[-1] == "success"
        pulley("freeze", "web", "--reason", "a holiday")
        (hook,) = sandbox.github.hooks("octo/site")
        newest = hook.deliveries[-1]
        sandbox.github.hookshot.post(
            hook, "push", newest.payload, guid=newest.guid, redelivery=True
        )
        assert states(sandbox, commit)[-1] == "success"


def states(sandbox: Sandbox, commit: str) -> list[str]:
    """Of the one deployment of a commit, oldest first."""
    (made,) = (one for one in sandbox.github.deployments("octo/site") if one.sha == commit)
    return [one.state for one in made.statuses]


class TestRollback:
    def test_it_goes_to_the_last_good_commit_and_the_next_push_does_not_undo_it(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        good, bad = push(sandbox, "good"), push(sandbox, "bad")
        asked = pulley("rollback", "web")
        assert asked.exit_code == 4
        assert f"web: {bad[:7]} -> {good[:7]} on 2 hosts: web-1, web-2" in asked.stderr
        assert stored(sandbox)[0]["state"] == "none"
        done = pulley("rollback", "web", "--yes")
        assert done.exit_code == 0, done.stderr
        assert f"2 of 2 hosts at {good[:7]}" in done.stdout
        pin, _ = stored(sandbox)
        assert (pin["state"], pin["commit"]) == ("pinned", good)
        assert pin["reason"] == f"rolled back from {bad[:7]} by {pin['by']}"
        push(sandbox, "the next one")
        assert [machine.head() for machine in sandbox.machines] == [good, good]

    def test_operator_whose_clock_is_slow_is_obeyed_by_every_host(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = push(sandbox, "good, too")
        push(sandbox, "bad, too")

        def slow() -> datetime:
            return datetime.now(UTC) - timedelta(minutes=10)

        for module in ("cli.deploy", "cli.rollback", "cli.target_view", "operator.deploy.send"):
            monkeypatch.setattr(f"pulley.{module}.utc_now", slow)
        done = pulley("rollback", "web", "--yes")
        assert done.exit_code == 0, done.stderr
        assert f"2 of 2 hosts at {good[:7]}" in done.stdout
        assert [machine.head() for machine in sandbox.machines] == [good, good]

    def test_host_that_is_asleep_does_not_keep_it_from_the_commit_before(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        push(sandbox, "on both")
        host = sandbox.machines[1].host
        host.sleep()
        try:
            good, bad = (deploy(sandbox, pulley, words) for words in ("on one", "on one, too"))
            asked = pulley("rollback", "web")
        finally:
            host.wake()
            sandbox.wait_until_quiet()
        assert f"web: {bad[:7]} -> {good[:7]} on 2 hosts: web-1, web-2 (offline)\n" in asked.stderr
        assert "  not " not in asked.stderr

    def test_where_no_good_commit_is_known_nothing_is_pinned(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        api = dict(sandbox.target) | {"name": "api"}
        ssm, name = sandbox.account.ssm, ParameterNames(STAGE).targets(SITE)
        ssm.put_parameter(Name=name, Value=json.dumps([sandbox.target, api]), Overwrite=True)
        done = pulley("rollback", "api", "--yes")
        ssm.put_parameter(Name=name, Value=json.dumps([sandbox.target]), Overwrite=True)
        assert done.exit_code == 1
        assert "nothing was sent to api in the last 30 days" in done.stderr
        stored_names = [one["Name"] for one in ssm.describe_parameters()["Parameters"]]
        assert ParameterNames(STAGE).pin("api") not in stored_names
