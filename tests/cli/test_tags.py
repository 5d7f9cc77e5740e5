"""Commands about a target that follows tags, in a sandbox with pushed tags."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulley.sandbox.github.deliveries import push_payload
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import TARGETS, Pulley, heads, json_of, pin

NULL = "0" * 40


@dataclass
class Story:
    """The commits of v1.0 and v1.1, of which v1.1 was sent, and that of x1, which does not fit."""

    first: str
    second: str
    other: str


def store(sandbox: Sandbox, **changes: object) -> None:
    """Store the sandbox's target, which follows tags with these changes."""
    target = {key: one for key, one in sandbox.target.items() if key != "branch"}
    value = json.dumps([{**target, "tag": "v*", **changes}])
    sandbox.account.ssm.put_parameter(Name=TARGETS, Value=value, Type="String", Overwrite=True)


def tag(sandbox: Sandbox, name: str, commit: str, *, is_quiet: bool = False) -> None:
    """Push a tag and wait for the round. A quiet push causes no delivery."""
    sandbox.developer.create_tag(name, ref=commit)
    if is_quiet:
        with sandbox.upstream.losing_deliveries():
            sandbox.developer.git.push("-q", "origin", name)
    else:
        sandbox.developer.git.push("-q", "origin", name)
        sandbox.wait_until_quiet()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """For this module only, because its target follows tags."""
    with Sandbox(["web-1", "web-2"]) as opened:
        store(opened)
        yield opened


class TestBeforeAnyTag:
    """Run first: nothing was sent yet."""

    def test_plan_and_status_say_that_no_tag_was_sent(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        done = pulley("plan")
        assert done.exit_code == 0, done.output
        assert "web: octo/site, tag v*" in done.stdout
        assert "wanted: no tag that fits was sent yet" in done.stdout
        assert sandbox.account.run_command.commands() == []

    def test_hosts_are_not_asked_and_the_reason_is_told(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        live = pulley("status", "--live")
        assert "web: its hosts could not be asked: no tag was sent to web yet" in live.stderr
        doctor = pulley("doctor")
        assert "no tag that fits v* was sent yet, so its hosts were not asked" in doctor.stdout
        saved = pulley("saved", "web")
        assert saved.exit_code != 0
        assert "no tag was sent to web yet" in saved.stderr
        assert sandbox.account.run_command.commands() == []

    def test_there_is_nothing_to_deploy(self, pulley: Pulley) -> None:
        done = pulley("deploy", "web")
        assert done.exit_code == 1
        assert "there is no tag that fits among the highest that GitHub has of tag v*" in (
            done.stderr
        )


@pytest.fixture(scope="module")
def story(sandbox: Sandbox) -> Story:
    first, second, other = (
        sandbox.commit({"index.html": f"{words}\n"}, words) for words in ("One", "Two", "Other")
    )
    tag(sandbox, "x1", other)
    tag(sandbox, "v1.0", first)
    tag(sandbox, "v1.1", second)
    return Story(first, second, other)


@pytest.mark.usefixtures("story")
class TestLook:
    def test_plan_names_the_tag(self, pulley: Pulley, story: Story) -> None:
        done = pulley("plan")
        assert f"wanted: {story.second[:7]} (it is v1.1)" in done.stdout
        (facts,) = json_of(pulley("plan", "--json"))["targets"]
        assert (facts["branch"], facts["tag"]) == (None, "v*")
        assert (facts["wanted"]["commit"], facts["wanted"]["tag"]) == (story.second, "v1.1")
        assert [one["action"] for one in facts["hosts"]] == ["nothing"] * 2

    def test_plan_shows_the_tag_that_the_next_round_sends(
        self, sandbox: Sandbox, pulley: Pulley, story: Story
    ) -> None:
        tag(sandbox, "v1.2", story.other, is_quiet=True)
        try:
            assert f"next: {story.other[:7]}, v1.2" in pulley("plan").stdout
            (facts,) = json_of(pulley("plan", "--json"))["targets"]
            assert (facts["waiting"]["commit"], facts["waiting"]["tag"]) == (story.other, "v1.2")
        finally:
            with sandbox.upstream.losing_deliveries():
                sandbox.developer.git.push("-q", "origin", "--delete", "v1.2")

    def test_status_shows_hosts_at_the_tag(self, pulley: Pulley, story: Story) -> None:
        done = pulley("status", "--live")
        assert done.exit_code == 0, done.output
        assert "tag v*" in done.stdout
        (facts,) = json_of(pulley("status", "--json"))["targets"]
        assert facts["tag"] == "v*"
        assert {one["commit"] for one in facts["hosts"]} == {story.second}

    def test_check_asks_for_the_tag_that_was_sent_last(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        assert pulley("status", "--live").exit_code == 0
        newest = sandbox.account.run_command.commands()[0]
        (command,) = sandbox.account.ssm.list_commands(CommandId=newest.id)["Commands"]
        parameters = command["Parameters"]
        assert (parameters["Update"], parameters["Branch"]) == (["check-tag"], ["v1.1"])
        assert {one.outcome for one in sandbox.results(newest.id).values()} == {"unchanged"}  # type: ignore[union-attr] # both answered

    def test_doctor_finds_no_fault_of_the_tag(self, pulley: Pulley) -> None:
        rows = json_of(pulley("doctor", "--json"))["rows"]
        of_hosts = [one for one in rows if one["what"].startswith(("host ", "target "))]
        assert {one["outcome"] for one in of_hosts} <= {"pass", "warn"}, of_hosts
        assert any(one["words"] == "octo/site, tag v*" for one in rows)

    def test_doctor_finds_a_host_that_somebody_moved(
        self, sandbox: Sandbox, pulley: Pulley, story: Story
    ) -> None:
        machine = sandbox.machines[0]
        machine.git("checkout", "-q", "main")
        try:
            assert "it has drifted" in pulley("doctor").stdout
        finally:
            machine.git("checkout", "-q", "--detach", story.second)

    def test_nothing_is_saved(self, pulley: Pulley) -> None:
        assert "nothing is saved on 2 hosts" in pulley("saved", "web").stdout

    def test_targets_are_shown_and_checked_as_written(self, pulley: Pulley) -> None:
        shown = pulley("targets", "show").stdout
        assert 'tag = "v*"' in shown
        assert "branch" not in shown
        assert pulley("targets", "check", "-", stdin=shown).exit_code == 0
        both = pulley("targets", "check", "-", stdin=f'{shown}branch = "main"\nreleases = 1\n')
        assert both.exit_code == 3
        assert "targets.web.tag: must not stand beside branch" in both.output
        assert "targets.web.releases: must be true or false, not 1" in both.output


@pytest.mark.usefixtures("story")
class TestSimulate:
    def simulate(self, sandbox: Sandbox, pulley: Pulley, ref: str, after: str = "") -> str:
        tip = after or sandbox.developer.head.commit.hexsha
        body = push_payload(sandbox.developer, FULL_NAME, ref, NULL, tip)
        return pulley("simulate", "-", stdin=body.decode()).stdout

    def test_tag_that_fits_starts_a_round(self, sandbox: Sandbox, pulley: Pulley) -> None:
        said = self.simulate(sandbox, pulley, "refs/tags/v2")
        assert "follows it, as it follows tag v*" in said
        assert "it waits for a round, which takes the highest version of v*" in said
        assert "The webhook would answer 200:" in said

    @pytest.mark.parametrize("ref", ["refs/tags/x2", "refs/heads/v2", "refs/heads/main"])
    def test_other_refs_are_not_followed(self, sandbox: Sandbox, pulley: Pulley, ref: str) -> None:
        said = self.simulate(sandbox, pulley, ref)
        assert f"does not follow it: it follows tag v*, and this is {ref}" in said

    def test_json_has_the_pattern(self, sandbox: Sandbox, pulley: Pulley) -> None:
        tip = sandbox.developer.head.commit.hexsha
        body = push_payload(sandbox.developer, FULL_NAME, "refs/tags/v2", NULL, tip)
        (found,) = json_of(pulley("simulate", "-", "--json", stdin=body.decode()))["targets"]
        assert (found["branch"], found["tag"], found["follows"]) == (None, "v*", True)
        assert found["waits_for"] == "a round, which takes the highest version of v*"
        assert found["command"] is None


@pytest.mark.usefixtures("story")
class TestDeploy:
    @pytest.fixture(autouse=True)
    def settled(self, sandbox: Sandbox) -> Iterator[None]:
        yield
        store(sandbox)
        pin(sandbox, state="none")
        sandbox.wait_until_quiet()

    def test_tag_that_was_sent_last_is_sent_again(
        self, sandbox: Sandbox, pulley: Pulley, story: Story
    ) -> None:
        done = pulley("deploy", "web", "--json")
        assert done.exit_code == 0, done.output
        (facts,) = json_of(done)["targets"]
        assert (facts["commit"], facts["update"], facts["reason"]) == (
            story.second,
            "tag",
            "it is v1.1",
        )
        assert heads(sandbox) == {story.second}

    def test_commit_needs_a_tag_that_fits_and_is_not_lower(
        self, pulley: Pulley, story: Story
    ) -> None:
        other = pulley("deploy", "web", "--commit", story.other)
        assert other.exit_code == 1
        assert "has no tag that fits among the highest" in other.stderr
        lower = pulley("deploy", "web", "--commit", story.first)
        assert lower.exit_code == 1
        assert "v1.0 is lower than v1.1" in lower.stderr

    def test_rollback_pins_the_commit_of_the_tag_before(
        self, sandbox: Sandbox, pulley: Pulley, story: Story
    ) -> None:
        done = pulley("rollback", "web", "--reason", "a fault", "--yes")
        assert done.exit_code == 0, done.output
        sandbox.wait_until_quiet()
        assert heads(sandbox) == {story.first}
        assert sandbox.reconcile()["sent"] == 0
        assert pulley("unpin", "web", "--yes").exit_code == 0
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert heads(sandbox) == {story.second}

    def test_manual_target_gets_the_highest_tag_by_deploy_alone(
        self, sandbox: Sandbox, pulley: Pulley, story: Story
    ) -> None:
        store(sandbox, trigger="manual")
        tag(sandbox, "v1.3", story.other)
        assert heads(sandbox) == {story.second}
        assert "it waits for pulley deploy" in pulley("plan").stdout
        done = pulley("deploy", "web")
        assert done.exit_code == 0, done.output
        assert "(it is v1.3) to 2 hosts" in done.stderr
        assert heads(sandbox) == {story.other}


@pytest.mark.usefixtures("story")
class TestReleases:
    """The webhook sends releases if the target takes them alone."""

    def test_webhook_s_events_follow_the_target(self, sandbox: Sandbox, pulley: Pulley) -> None:
        store(sandbox, releases=True)
        try:
            printed = pulley("connect", FULL_NAME, "--print-only").stdout
            assert "Let me select individual events: Pushes, Releases" in printed
            assert pulley("connect", FULL_NAME, "--yes").exit_code == 0
            (hook,) = sandbox.github.hooks(FULL_NAME)
            assert hook.events == ("push", "release")
        finally:
            store(sandbox)
