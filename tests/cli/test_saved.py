"""Edits that a push set aside are shown until somebody drops them. Real app, real script."""

from collections.abc import Iterator

import pytest

from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import Pulley, asleep, json_of, push, targets

SAVED = "refs/pulley/saved"


@pytest.fixture(scope="module")
def sandbox(used: Sandbox) -> Sandbox:
    """Hosts without saved refs. The run after one that another module cancelled may have saved what
    the cancelled one left."""
    for machine in used.machines:
        for ref in machine.git("for-each-ref", "--format=%(refname)", SAVED).split():
            machine.git("update-ref", "-d", ref)
    return used


def set_aside(sandbox: Sandbox) -> str:
    """Edit a file on web-1 and push a conflicting change; returns the pushed commit."""
    sandbox.machines[0].write("index.html", "mine\n")
    return push(sandbox, "In the way")


def listed(pulley: Pulley, *arguments: str) -> dict[str, list[str]]:
    """The commits that each host lists, newest first."""
    hosts = json_of(pulley("saved", "web", *arguments, "--json"))["hosts"]
    return {one["host"]: [ref["commit"] for ref in one["saved"]] for one in hosts}


@pytest.fixture(scope="module")
def commit(sandbox: Sandbox) -> str:
    push(sandbox, "One", {"settings.ini": "one\n"})
    return set_aside(sandbox)


@pytest.fixture
def strict(sandbox: Sandbox) -> Iterator[None]:
    """The target counts an edit that was set aside as a failure."""
    with targets(sandbox, {"saved": "fail"}):
        yield


def status_of(pulley: Pulley) -> list[tuple[str, str | None]]:
    (target,) = json_of(pulley("status", "web", "--json"))["targets"]
    return [(one["place"], one["set_aside"]) for one in target["hosts"]]


def doctor_on(pulley: Pulley, host: str) -> list[tuple[str, str]]:
    """Outcome and fix in doctor's rows about edits that were set aside on a host."""
    rows = json_of(pulley("doctor", "--json"))["rows"]
    told = [one for one in rows if one["what"].startswith(f"host {host}: ")]
    assert told
    return [(one["outcome"], one["mend"]) for one in told if " was set aside" in one["words"]]


def states_of(sandbox: Sandbox, commit: str) -> list[str]:
    """What GitHub shows of a commit."""
    sandbox.wait_until_quiet()
    return [one.state for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit]


class TestStatus:
    def test_file_that_was_set_aside_is_named_and_causes_no_command(
        self, sandbox: Sandbox, pulley: Pulley, commit: str
    ) -> None:
        assert pulley("deploy", "web", "--yes").exit_code == 0  # without a new commit
        assert pulley("status", "web", "--live").exit_code == 0
        assert status_of(pulley) == [("at it", "index.html"), ("at it", None)]
        assert sandbox.reconcile()["sent"] == 0
        assert doctor_on(pulley, "web-1") == [("warn", "pulley saved web")]
        words = "web-1: a local edit of index.html was set aside. To see to it: "
        assert words + "pulley saved web web-1" in pulley("status", "web").stdout
        assert states_of(sandbox, commit) == ["success"]
        told = [one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit]
        assert "index.html set aside" in str(told[0].status)

    @pytest.mark.usefixtures("strict")
    def test_target_with_saved_fail_fails_each_later_deploy(
        self, sandbox: Sandbox, pulley: Pulley, commit: str
    ) -> None:
        sandbox.reconcile()
        (target,) = json_of(pulley("status", "web", "--json"))["targets"]
        assert (target["well"], target["newest"]["state"]) == (False, "success")
        assert states_of(sandbox, commit) == ["success"]
        assert doctor_on(pulley, "web-1") == [("fail", "pulley saved web")]
        deployed = pulley("deploy", "web", "--yes")
        assert deployed.exit_code == 3
        assert "web-1: index.html set aside" in deployed.stdout
        checked = pulley("status", "web", "--check", "--json")
        (target,) = json_of(checked)["targets"]
        assert (checked.exit_code, target["well"]) == (3, False)
        assert target["newest"]["state"] == "failure"
        newest, *older = json_of(pulley("history", "web", "--json"))["entries"]
        assert newest["state"] == "failure"
        assert {one["state"] for one in older if one["commit"] == commit} == {"success"}


@pytest.mark.usefixtures("commit")
class TestList:
    def test_every_host_is_asked_and_named(self, sandbox: Sandbox, pulley: Pulley) -> None:
        done = pulley("saved", "web")
        (sha,) = listed(pulley)["web-1"]
        (row,) = (line for line in done.stdout.splitlines() if line.startswith("web-1"))
        assert sha[:7] in row
        assert row.endswith("index.html")
        assert listed(pulley)["web-2"] == []
        assert listed(pulley, sandbox.machines[1].host.instance_id) == {"web-2": []}
        assert "nothing is saved on 1 host" in pulley("saved", "web", "web-2").stdout
        mistyped = pulley("saved", "web", "web1")
        assert mistyped.exit_code == 1
        assert "did you mean web-1?" in mistyped.stderr

    def test_host_that_does_not_answer_is_named(self, sandbox: Sandbox, pulley: Pulley) -> None:
        with asleep(sandbox):
            done = pulley("saved", "web")
        assert done.exit_code == 0
        assert "web-2: it is offline" in done.stderr
        assert "web-1" in done.stdout

    def test_saved_refs_beyond_the_limit_of_an_answer_are_counted(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        web_2 = sandbox.machines[1]
        names = [f"refs/pulley/saved/201001{day:02}T000000Z-1-1" for day in range(1, 13)]
        for name in names:
            web_2.git("update-ref", name, "HEAD")
        done = pulley("saved", "web", "web-2")
        assert "older ones are not listed; it has 12." in done.stderr
        assert "2010-01-12 00:00:00 UTC" in done.stdout
        head = web_2.head()
        assert pulley("saved", "web", "web-2", head, "--drop", "--yes").exit_code == 0
        assert listed(pulley, "web-2") == {"web-2": []}


@pytest.mark.usefixtures("commit")
class TestShow:
    def test_saved_edit_is_shown_as_a_diff(self, pulley: Pulley) -> None:
        (sha,) = listed(pulley)["web-1"]
        done = pulley("saved", "web", "web-1", sha[:7])
        assert done.exit_code == 0
        assert "+mine" in done.stdout.splitlines()
        shown = json_of(pulley("saved", "web", "web-1", sha, "--json"))
        assert (shown["commit"], shown["cut"], "+mine" in shown["text"]) == (sha, False, True)

    def test_long_edit_is_cut_and_the_command_that_shows_all_is_named(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        web_2 = sandbox.machines[1]
        web_2.commit("long.txt", "a long line\n" * 2000, "Long")
        head = web_2.head()
        web_2.git("update-ref", "refs/pulley/saved/long", head)
        web_2.git("reset", "-q", "--hard", "HEAD~1")
        done = pulley("saved", "web", "web-2", head[:10])
        assert f"It is longer. All of it, on web-2: git show {head}" in done.stderr
        web_2.git("update-ref", "-d", "refs/pulley/saved/long")

    def test_commit_that_is_not_saved_is_an_error(self, pulley: Pulley) -> None:
        done = pulley("saved", "web", "web-1", "0123456")
        assert done.exit_code == 1
        assert "web-1 lists no saved commit that begins 0123456" in done.stderr
        for drop in ((), ("--drop", "--yes")):
            done = pulley("saved", "web", "web-1", "01" * 20, *drop)
            assert done.exit_code == 1
            assert "web-1: missing commit: no saved ref has it" in done.stderr

    @pytest.mark.parametrize(
        "arguments", [("web-1", "main"), ("web-1", "4d5e6"), ("--drop",), ("web-1", "--drop")]
    )
    def test_wrong_command_line_exits_with_2(
        self, pulley: Pulley, arguments: tuple[str, ...]
    ) -> None:
        assert pulley("saved", "web", *arguments).exit_code == 2


@pytest.mark.usefixtures("commit")
class TestDrop:
    def test_drop_asks_first_removes_the_ref_and_prints_how_to_undo_it(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        web_1 = sandbox.machines[0]
        history = json_of(pulley("history", "web", "--json"))
        (sha,) = listed(pulley)["web-1"]
        ref = web_1.git("for-each-ref", "--format=%(refname)", SAVED)
        assert pulley("saved", "web", "web-1", sha[:7], "--drop").exit_code == 4
        assert listed(pulley)["web-1"] == [sha]

        done = pulley("saved", "web", "web-1", sha[:7], "--drop", "--yes")
        assert (done.exit_code, done.stdout) == (0, f"web-1: dropped {sha[:7]}, refs: 1\n")
        assert f"update-ref {ref} {sha}" in done.stderr
        assert listed(pulley)["web-1"] == []
        # Without another run: the answer to the drop says that no edit is set aside any more.
        assert status_of(pulley) == [("at it", None), ("at it", None)]
        told = pulley("status", "web").stdout
        assert "pulley saved" not in told
        assert "(seen to since)" in told
        assert sandbox.reconcile()["sent"] == 0

        web_1.git("update-ref", ref, sha)
        dropped = json_of(pulley("saved", "web", "web-1", sha, "--drop", "--yes", "--json"))
        assert (dropped["dropped"], ref in dropped["undo"]) == (1, True)
        # None of these commands is a deploy.
        assert json_of(pulley("history", "web", "--json")) == history

    @pytest.mark.usefixtures("strict")
    def test_commit_succeeds_with_the_first_deploy_after_the_drop(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        sandbox.machines[0].write("settings.ini", "mine\n")
        # The app may still use the setting of a minute ago, so the push causes no delivery.
        files = {"settings.ini": "not mine\n"}
        commit = push(sandbox, "In the way again", files, is_quiet=True)
        assert pulley("deploy", "web", "--yes").exit_code == 3
        assert states_of(sandbox, commit) == ["failure"]
        (sha,) = listed(pulley)["web-1"]
        done = pulley("saved", "web", "web-1", sha[:7], "--drop", "--yes")
        assert "on GitHub: pulley deploy web" in done.stderr
        assert pulley("deploy", "web", "--yes").exit_code == 0
        assert states_of(sandbox, commit) == ["success"]
