"""pin, freeze, unpin and rollback: what they store, print and do to the hosts."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from chalicelib.core.errors import RefusedError
from chalicelib.edges.hosts import HostDirectory
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import NAMES, Pulley, asleep, heads, json_of, push, targets

PIN = NAMES.pin("web")
OTHER = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"


@pytest.fixture(scope="module")
def sandbox(used: Sandbox) -> Sandbox:
    return used


@pytest.fixture(autouse=True)
def unpinned(sandbox: Sandbox) -> Iterator[None]:
    store(sandbox, '{"state": "none"}')
    yield
    store(sandbox, '{"state": "none"}')


def store(sandbox: Sandbox, value: str) -> None:
    sandbox.account.ssm.put_parameter(Name=PIN, Value=value, Type="String", Overwrite=True)


def stored(sandbox: Sandbox) -> tuple[dict[str, str | None], int]:
    found = sandbox.account.ssm.get_parameter(Name=PIN)["Parameter"]
    return json.loads(found["Value"]), found["Version"]


class TestPin:
    def test_pin_is_stored_with_all_fields_and_the_pin_before_is_printed(
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
        pulley("freeze", "web", "--reason", "a holiday")
        found = json_of(pulley("pin", "web", OTHER, "--yes", "--reason", "the fair", "--json"))
        assert (found["target"], found["changed"]) == ("web", True)
        assert found["before"]["state"] == "frozen"
        assert (found["now"]["state"], found["now"]["commit"]) == ("pinned", OTHER)
        before = stored(sandbox)
        done = pulley("pin", "web", OTHER, "--yes", "--reason", "the  fair")
        assert done.exit_code == 0
        assert done.stdout.startswith("Nothing to do: web is pinned at 4d5e6f7: the fair (by ")
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
    def test_all_problems_of_a_command_line_are_reported_and_nothing_is_stored(
        self, sandbox: Sandbox, pulley: Pulley, arguments: tuple[str, ...], words: list[str]
    ) -> None:
        before = stored(sandbox)
        done = pulley(*arguments)
        assert (done.exit_code, stored(sandbox)) == (2, before)
        assert [one for one in words if one not in done.stderr.replace('"', "'")] == []

    def test_in_a_clone_a_short_id_is_accepted_and_an_unknown_commit_needs_a_yes(
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

    def test_deployed_commit_needs_no_yes_and_failed_commit_needs_force(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        script = (Path(sandbox.developer.working_dir) / "deploy/after-pull").read_text()
        good = push(sandbox, "works")
        bad = push(sandbox, "fails", {"deploy/after-pull": "#!/bin/sh\nexit 7\n"})
        push(sandbox, "works again", {"deploy/after-pull": script}, is_quiet=True)
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
        assert pulley("pin", "web", OTHER, "--reason", "x").exit_code == 4
        done = pulley("pin", "web", good, "--reason", "the fair")
        assert (done.exit_code, done.stderr) == (0, "")

    def test_overwritten_pin_of_another_operator_is_shown(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = "pulley.cli.pinned.read_pin"
        from pulley.operator.deploy import pin  # noqa: PLC0415 - the module that the test patches

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
    def test_unpin_stores_the_state_none_and_deletes_no_parameter(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
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
    def test_target_without_a_pin_in_force_is_not_changed(
        self, sandbox: Sandbox, pulley: Pulley, value: str
    ) -> None:
        store(sandbox, value)
        before = stored(sandbox)
        done = pulley("unpin", "web")
        assert done.stdout == "Nothing to do: web is not pinned: it follows its branch.\n"
        assert (done.exit_code, stored(sandbox)) == (0, before)

    def test_unreadable_pin_is_replaced(self, sandbox: Sandbox, pulley: Pulley) -> None:
        store(sandbox, "{")
        done = pulley("unpin", "web")
        assert done.exit_code == 0
        assert "Before: a pin that cannot be read: must be JSON" in done.stdout
        assert stored(sandbox)[0]["state"] == "none"

    def test_pin_is_removed_even_if_the_hosts_cannot_be_listed(
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


def states(sandbox: Sandbox, commit: str) -> list[tuple[str, str | None]]:
    """The statuses of a commit's only deployment, oldest first: state and description."""
    (made,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit)
    return [(one.state, one.description) for one in made.statuses]


class TestRollback:
    def test_rollback_pins_the_last_good_commit_and_no_push_moves_it_before_the_unpin(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good, bad = push(sandbox, "good"), push(sandbox, "bad")
        with asleep(sandbox):
            asked = pulley("rollback", "web")
        assert asked.exit_code == 4
        which = f"web: {bad[:7]} -> {good[:7]} on 2 hosts: web-1, web-2 (offline)\n"
        assert which in asked.stderr
        assert "  not " not in asked.stderr
        assert stored(sandbox)[0]["state"] == "none"

        def slow() -> datetime:
            return datetime.now(UTC) - timedelta(minutes=10)

        with monkeypatch.context() as patched:  # hosts also obey an operator whose clock is slow
            for module in ("cli.deploy", "cli.rollback", "cli.target_view", "operator.deploy.send"):
                patched.setattr(f"pulley.{module}.utc_now", slow)
            done = pulley("rollback", "web", "--yes")
        assert done.exit_code == 0, done.stderr
        assert f"2 of 2 hosts at {good[:7]}" in done.stdout
        assert heads(sandbox) == {good}
        pin, _ = stored(sandbox)
        assert (pin["state"], pin["commit"]) == ("pinned", good)
        assert pin["reason"] == f"rolled back from {bad[:7]} by {pin['by']}"

        asked = pulley("unpin", "web")
        assert asked.exit_code == 4
        assert f"web: hosts go to {bad[:7]} (it is the branch's tip" in asked.stderr
        assert f"{bad[:7]} is the commit that web was rolled back from" in asked.stderr
        assert stored(sandbox)[0]["commit"] == good
        told = json_of(pulley("unpin", "web", "--yes", "--json"))
        assert (told["next"]["wanted"]["commit"], told["next"]["held"]) == (bad, None)
        assert told["next"]["rolled_back_from"] is True
        assert stored(sandbox)[0]["state"] == "none"

        store(sandbox, json.dumps(pin))
        fixed = push(sandbox, "fixed")
        why = f"not deployed: pinned at {good[:7]}: {pin['reason']}"
        assert states(sandbox, fixed) == [("inactive", why)]
        assert heads(sandbox) == {good}
        done = pulley("unpin", "web")
        assert done.exit_code == 0
        assert f"web: hosts go to {fixed[:7]}" in done.stderr
        assert "rolled back from" not in done.stderr
        assert "Its hosts get there in the next round. To send" in done.stdout
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert heads(sandbox) == {fixed}
        assert states(sandbox, fixed)[-1][0] == "success"

        pulley("freeze", "web", "--reason", "a holiday")
        (hook,) = sandbox.github.hooks(FULL_NAME)
        newest = hook.deliveries[-1]
        sandbox.github.hookshot.post(
            hook, "push", newest.payload, guid=newest.guid, redelivery=True
        )
        assert states(sandbox, fixed)[-1][0] == "success"

        done = pulley("unpin", "web")
        assert "Its hosts are there already.\n" in done.stdout
        assert "pulley deploy" not in done.stdout

    def test_rollback_without_a_known_good_commit_pins_nothing(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with targets(sandbox, {}, {"name": "idle"}):
            done = pulley("rollback", "idle", "--yes")
        assert done.exit_code == 1
        assert "nothing was sent to idle in the last 30 days" in done.stderr
        pinned = sandbox.account.ssm.get_parameters(Names=[NAMES.pin("idle")])["Parameters"]
        assert pinned == []

    def test_rollback_without_hosts_pins_the_commit_and_sends_no_command(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        good, _ = push(sandbox, "ran"), push(sandbox, "runs")
        before = len(sandbox.account.run_command.commands())
        with targets(sandbox, {"instances": {"tags": {"role": "nobody"}}}):
            done = pulley("rollback", "web", "--yes")
        assert done.exit_code == 3, done.output
        assert "web: not sent: No host: " in done.stderr
        assert stored(sandbox)[0]["commit"] == good
        assert len(sandbox.account.run_command.commands()) == before
