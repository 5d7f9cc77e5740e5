"""status, history and logs against a sandbox with a push, a bad release and an offline host."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result

from pulley.demo import _commands_of, _push
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import (
    NAMES,
    TARGETS,
    Pulley,
    asleep,
    heads,
    json_of,
    pin,
    push,
    stored,
    targets,
)

ESCAPES = (
    "#!/bin/sh\nmkdir -p build\ncp health build/\n"
    "printf 'before\\033[31m red \\033]0;title\\007after\\n' >&2\n"
)


@dataclass
class Story:
    """Commit and command of a push, and of an operator's deploy that fails on web-2."""

    pushed: str
    push_id: str
    failed: str
    deploy: Result | None = None
    deploy_id: str = ""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """For this module only, because its tests count the commands."""
    with Sandbox(["web-1", "web-2"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def story(sandbox: Sandbox) -> Story:
    files = {"index.html": "one\n", "deploy/after-pull": ESCAPES}
    pushed = sandbox.commit(files, "One\n\nA body.")
    (push_id,) = _commands_of(_push(sandbox.developer))
    sandbox.wait_until_quiet()
    pin(sandbox, state="pinned", commit=pushed, reason="the release", by="mona")
    sandbox.machines[1].commit("index.html", "mine\n", "In the way")
    failed = push(sandbox, "Two", is_quiet=True)
    pin(sandbox, state="none", by="mona")
    return Story(pushed, push_id, failed)


@pytest.fixture
def told(sandbox: Sandbox, story: Story, pulley: Pulley, monkeypatch: pytest.MonkeyPatch) -> Story:
    """The story, ended by the operator's deploy. Runs outside any clone."""
    monkeypatch.chdir("/")
    if story.deploy is None:
        story.deploy = pulley("deploy")
        story.deploy_id = sandbox.account.run_command.commands()[0].id
    return story


class TestDeploy:
    def test_failed_host_is_shown_with_its_log_and_the_exit_code_is_3(self, told: Story) -> None:
        done, short = told.deploy, told.failed[:7]
        assert done
        assert done.exit_code == 3
        assert f"web-1: at {short}: updated" in done.stdout
        assert "web-2: failed: conflict in index.html" in done.stdout
        assert "    CONFLICT (content): Merge conflict in index.html" in done.stdout
        assert f"web: 1 of 2 hosts at {short}, 1 failed; web-2: conflict" in done.stdout
        assert "pulley logs web --command-id " in done.stderr


class TestStatus:
    def test_each_host_is_shown_with_its_commit_result_and_time(
        self, sandbox: Sandbox, told: Story, pulley: Pulley
    ) -> None:
        done = pulley("status", "web")
        assert done.exit_code == 0
        short = told.failed[:7]
        assert f"wanted: {short} (it is the branch's tip, by GitHub)" in done.stdout
        assert f"{short}, manual by " in done.stdout
        assert f"failure: 1 of 2 hosts at {short}, 1 failed; web-2: conflict" in done.stdout
        one, two = [line for line in done.stdout.splitlines() if " online " in line]
        assert f"{short}  at it" in one
        assert f"at {short}: updated" in one
        assert "behind" in two
        assert "failed: conflict in index.html" in two
        (target,) = json_of(pulley("status", "--json"))["targets"]
        assert target["newest"]["command_id"] == told.deploy_id
        assert target["newest"]["state"] == "failure"
        assert target["well"] is False
        places = [(one["host"], one["commit"], one["there"]) for one in target["hosts"]]
        behind = sandbox.machines[1].head()
        assert places == [("web-1", told.failed, True), ("web-2", behind, False)]
        assert target["hosts"][0]["since"].endswith("Z")

    def test_check_exits_with_3_only_for_an_online_host_that_is_behind_and_not_frozen(
        self, sandbox: Sandbox, told: Story, pulley: Pulley
    ) -> None:
        assert pulley("status", "--check").exit_code == 3
        with asleep(sandbox):
            done = pulley("status", "--check")
        assert (done.exit_code, "offline" in done.stdout) == (0, True)
        frozen = json.dumps({"state": "frozen", "reason": "a holiday"})
        with stored(sandbox, NAMES.pin("web"), frozen):
            done = pulley("status", "--check")
        assert (done.exit_code, "wanted: frozen: a holiday" in done.stdout) == (0, True)
        pin(sandbox, state="none", by="mona")


class TestHistory:
    def test_entries_have_cause_operator_and_state_newest_first(
        self, told: Story, pulley: Pulley
    ) -> None:
        entries = json_of(pulley("history", "web", "--json"))["entries"]
        commands = [one for one in entries if one["kind"] == "command"]
        assert [one["command_id"] for one in commands] == [told.deploy_id, told.push_id]
        assert [(one["cause"], one["state"]) for one in commands] == [
            ("manual", "failure"),
            ("push", "success"),
        ]
        assert commands[1]["by"] == "someone"
        assert commands[0]["by"]
        oldest = [one for one in entries if one["kind"] == "pin"][-1]
        assert (oldest["state"], oldest["commit"], oldest["by"]) == ("pinned", told.pushed, "mona")
        assert oldest["description"] == f"pinned at {told.pushed[:7]}: the release"
        times = [one["at"] for one in entries]
        assert times == sorted(times, reverse=True)
        assert json_of(pulley("history", "--json", "--limit", "2"))["entries"] == entries[:2]
        assert pulley("history", "--limit", "0").exit_code == 2

    def test_in_a_clone_the_table_has_commit_subjects(
        self,
        sandbox: Sandbox,
        told: Story,
        pulley: Pulley,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(sandbox.developer.working_dir)
        done = pulley("history")
        assert done.exit_code == 0
        (line,) = [one for one in done.stdout.splitlines() if f" {told.push_id[:8]} " in one]
        assert f"{told.pushed[:7]}  push by someone  " in line
        assert "  One      success: 2 of 2" in line
        assert "A body" not in done.stdout
        assert f"pinned at {told.pushed[:7]}: the release" in done.stdout
        unpinned = [one for one in done.stdout.splitlines() if "unpin by " in one]
        assert unpinned[-1].endswith("follows its branch")
        assert not any(one.endswith(" ") for one in done.stdout.splitlines())


class TestLogs:
    def test_each_host_is_shown_with_its_result_and_its_output(
        self, told: Story, pulley: Pulley
    ) -> None:
        done = pulley("logs", "web")
        assert done.exit_code == 0
        one, two = done.stdout.index("web-1 (i-"), done.stdout.index("web-2 (i-")
        assert f"): at {told.failed[:7]}: updated\n" in done.stdout[one:two]
        assert "    == after_pull" in done.stdout[one:two]
        assert "): failed: conflict in index.html" in done.stdout[two:]
        assert "    CONFLICT (content)" in done.stdout[two:]
        assert '{"v":1' not in done.stdout

    def test_escape_codes_in_a_host_s_output_do_not_reach_the_terminal(
        self, told: Story, pulley: Pulley
    ) -> None:
        done = pulley("logs", "web", "web-1")
        assert "    before red after\n" in done.stdout
        assert "\x1b" not in done.output
        raw = json_of(pulley("logs", "web", "web-1", "--json"))
        assert "\x1b[31m" in raw["hosts"][0]["stderr"]  # JSON keeps the codes

    def test_host_is_selected_by_its_name_or_its_instance_id(
        self, sandbox: Sandbox, told: Story, pulley: Pulley
    ) -> None:
        for name in ("web-2", sandbox.machines[1].host.instance_id):
            (host,) = json_of(pulley("logs", "web", name, "--json"))["hosts"]
            assert (host["host"], host["kind"]) == ("web-2", "failed")
        done = pulley("logs", "web", "web-9")
        assert done.exit_code == 1
        assert "no host web-9 (did you mean web-2?); its hosts are web-1, web-2" in done.stderr

    def test_older_command_is_selected_by_its_id(self, told: Story, pulley: Pulley) -> None:
        for id_ in (told.push_id, told.push_id[:8]):
            document = json_of(pulley("logs", "web", "--command-id", id_, "--json"))
            assert document["commit"] == told.pushed
            assert {one["kind"] for one in document["hosts"]} == {"at"}

    def test_id_that_is_no_command_of_the_target_is_refused(
        self, told: Story, pulley: Pulley
    ) -> None:
        done = pulley("logs", "web", "--command-id", "0831e1a8-a1ac-4257-a1fd-c12f1d0c8b1a")
        assert done.exit_code == 1
        assert "is no command that deploys to web: pulley history web has their ids" in done.stderr
        for rubbish in ("rubbish", "0831e1a", "0831e1a8" + "0" * 29):
            assert pulley("logs", "web", "--command-id", rubbish).exit_code == 2


@pytest.mark.parametrize(
    ("value", "checked", "named"),
    [
        pytest.param({"name": "api"}, "", "there is no target web; there is api", id="not stored"),
        pytest.param(
            {"checkout": "srv"},
            "No stored target is valid",
            "stored targets are not valid, and not used: octo/site: targets.",
            id="not valid",
        ),
        pytest.param(
            None,
            "Stage dev has no targets: pulley targets apply",
            "there is no target web, and no other: pulley targets apply",
            id="nothing",
        ),
    ],
)
def test_target_that_is_not_stored_is_reported_and_its_history_stays_readable(
    sandbox: Sandbox,
    told: Story,
    pulley: Pulley,
    value: dict[str, str] | None,
    checked: str,
    named: str,
) -> None:
    text = json.dumps([{**sandbox.target, **value}]) if value else None
    with stored(sandbox, TARGETS, text):
        for arguments in (["history"], ["history", "web"]):
            entries = json_of(pulley(*arguments, "--json"))["entries"]
            sent = [one["command_id"] for one in entries if one["kind"] == "command"]
            assert sent == [told.deploy_id, told.push_id]
        assert json_of(pulley("logs", "web", "--json"))["command_id"] == told.deploy_id
        assert pulley("cancel", "web").stderr == "Nothing is under way to web.\n"
        status = pulley("status", "--check")
        refused = [pulley("deploy", "web"), pulley("unpin", "web")]
    assert (status.exit_code, checked in status.stderr) == (3, True)
    for done in refused:
        assert done.exit_code == 1
        lines = [one for one in done.stderr.splitlines() if not one.startswith("Warning: ")]
        assert lines[0].startswith(f"Error: {named}")


def test_target_without_commands_has_no_logs_and_no_history(
    sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with targets(sandbox, {"name": "api", "environment": "api"}):
        logs, past, status = pulley("logs", "api"), pulley("history", "api"), pulley("status")
    assert logs.exit_code == 1
    assert "nothing was sent to api in the 30 days" in logs.stderr
    assert (past.exit_code, past.stdout) == (0, "")
    assert "newest: nothing was sent in the 30 days" in status.stdout
    assert "none is known" in status.stdout


class TestDoctor:
    """Runs after the tests of the story, because doctor sends a command to the hosts."""

    def test_host_where_the_commit_failed_gets_the_hint_to_fix_it_or_roll_back(
        self, told: Story, pulley: Pulley
    ) -> None:
        done = pulley("doctor", "--json")
        assert done.exit_code == 3
        rows = {row["what"]: row for row in json_of(done)["rows"]}
        two = rows["host web-2: /srv/site"]
        wanted = f", and {told.failed[:7]} is wanted, which failed there: conflict in index.html"
        assert wanted in two["words"]
        assert "fix the commit and push" in two["mend"]
        assert "pulley rollback web" in two["mend"]
        assert "next round" not in two["mend"]
        assert rows["host web-1: /srv/site"]["outcome"] == "pass"


class TestDrift:
    def test_drift_is_shown_kept_while_frozen_and_corrected_after_the_unpin(
        self, sandbox: Sandbox, told: Story, pulley: Pulley
    ) -> None:
        web_1, web_2 = sandbox.machines
        web_2.git("reset", "-q", "--hard", "HEAD~1")  # the commit that conflicted
        assert pulley("deploy").exit_code == 0
        web_1.git("reset", "-q", "--hard", "HEAD~1")

        # No check has run yet, so the old state is shown.
        assert first_host(pulley("status", "web", "--json"))["there"] is True
        live = pulley("status", "web", "--live")
        assert (live.exit_code, "drifted" in live.stdout) == (3, True)
        for command in ("status", "plan"):  # both show the moved checkout
            assert first_host(pulley(command, "web", "--json"))["commit"] == web_1.head()
        doctor = pulley("doctor")
        assert doctor.exit_code == 3
        drifted = f"it has drifted from {told.failed[:7]}: "
        assert drifted in " ".join(doctor.stdout.split())

        assert pulley("freeze", "web", "--reason", "a holiday").exit_code == 0
        live = pulley("status", "web", "--live", "--json")
        (target,) = json_of(live)["targets"]
        assert (live.exit_code, target["well"]) == (3, False)
        assert [one["place"] for one in target["hosts"]] == ["drifted", None]
        assert [one["commit"] for one in target["hosts"]] == [web_1.head(), told.failed]
        assert target["hosts"][0]["since"] is None
        assert sandbox.reconcile()["sent"] == 0
        assert pulley("unpin", "web").exit_code == 0

        assert sandbox.reconcile()["sent"] == 1
        sandbox.wait_until_quiet()
        assert heads(sandbox) == {told.failed}
        shown = [one for one in sandbox.github.deployments(FULL_NAME) if one.sha == told.failed]
        assert [one.state for one in shown] == ["success"]
        assert "web-1 (drifted, brought back)" in str(shown[0].status)
        assert pulley("status", "web", "--live").exit_code == 0
        assert sandbox.reconcile()["sent"] == 0


def first_host(done: Result) -> dict[str, object]:
    (host, *_) = json_of(done)["targets"][0]["hosts"]
    return dict(host)


class TestUnknownStage:
    @pytest.mark.parametrize(
        "command",
        [
            ["status"],
            ["plan"],
            ["history"],
            ["logs", "web"],
            ["deploy"],
            ["cancel"],
            ["pin", "web", "a" * 40, "--reason", "x"],
            ["freeze", "web", "--reason", "x"],
            ["unpin", "web"],
            ["rollback", "web"],
            ["saved", "web"],
            ["targets", "show"],
            ["secret", "rotate"],
        ],
    )
    def test_command_fails_and_names_the_existing_stages(
        self, pulley: Pulley, command: list[str]
    ) -> None:
        done = pulley(*command, "--stage", "dve", "--yes" if command == ["deploy"] else "--json")
        assert done.exit_code == 1
        words = "there is no stage dve in this account and region (did you mean dev?); there is dev"
        assert words in done.stderr

    def test_doctor_reports_it_right_after_the_aws_row(self, pulley: Pulley) -> None:
        done = pulley("doctor", "--stage", "dve", "--json")
        assert done.exit_code == 3
        aws, stage, *_ = json_of(done)["rows"]
        assert (aws["outcome"], stage["what"], stage["outcome"]) == ("pass", "stage", "fail")
        assert "did you mean dev?" in stage["words"]

    def test_targets_apply_warns_of_it(
        self, sandbox: Sandbox, pulley: Pulley, tmp_path: Path
    ) -> None:
        file = tmp_path / "pulley.toml"
        file.write_text(pulley("targets", "show").stdout)
        done = pulley("targets", "apply", str(file), "--stage", "dve", "--dry-run")
        assert done.exit_code == 0
        assert "Warning: there is no stage dve" in done.stderr
        assert "no stage" not in pulley("targets", "apply", str(file), "--dry-run").stderr
