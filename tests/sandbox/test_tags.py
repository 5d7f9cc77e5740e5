"""Tags end to end: real git, real HTTP, the real app, document and script.

Each test follows tags with a prefix of its own, so that what went out in another one is no matter.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.results import HostResult
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox

SITE = Repository.parse(FULL_NAME)
TARGETS = ParameterNames(STAGE).targets(SITE)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1", "web-2"]) as opened:
        yield opened


class Tags:
    """The sandbox, whose target follows the tags of one prefix."""

    def __init__(self, sandbox: Sandbox, prefix: str) -> None:
        self.sandbox, self.prefix = sandbox, prefix

    def follow(self, pattern: str = "*", **changes: object) -> None:
        target = {key: one for key, one in self.sandbox.target.items() if key != "branch"}
        target |= {"tag": f"{self.prefix}{pattern}", **changes}
        self.sandbox.account.ssm.put_parameter(
            Name=TARGETS, Value=json.dumps([target]), Type="String", Overwrite=True
        )

    def git(self, *arguments: str) -> str:
        """Run git in the developer's clone. Returns what it printed, also what a push was told."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.sandbox.developer.working_dir,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr

    def commit(self, words: str) -> str:
        return self.sandbox.commit({"index.html": f"{self.prefix}{words}\n"}, words)

    def push(self, tag: str, commit: str, *, message: str = "") -> str:
        """Tag the commit, also if the tag exists, and push the tag alone. Returns the answer."""
        annotated = ["--annotate", "--message", message] if message else []
        name = f"{self.prefix}{tag}"
        self.git("tag", "--force", *annotated, name, commit)
        said = self.git("push", "--quiet", "--force", "origin", f"refs/tags/{name}")
        self.sandbox.wait_until_quiet()
        return said

    def heads(self) -> set[str]:
        return {machine.head() for machine in self.sandbox.machines}

    def sent(self) -> list[tuple[str, str, str]]:
        """The tag, the commit and the `Update` of each command of this prefix, newest first."""
        found = []
        for command in self.sandbox.account.run_command.commands():
            (listed,) = self.sandbox.account.ssm.list_commands(CommandId=command.id)["Commands"]
            values = {name: one[0] for name, one in listed["Parameters"].items() if one}
            if values["Branch"].startswith(self.prefix):
                found.append((values["Branch"], values["Commit"], values["Update"]))
        return found

    def states(self, commit: str) -> list[str]:
        """The newest state of each deployment of the commit on GitHub."""
        made = self.sandbox.github.deployments(FULL_NAME)
        return [one.state for one in made if one.sha == commit]


@pytest.fixture
def tags(sandbox: Sandbox, request: pytest.FixtureRequest) -> Tags:
    prefix = f"{request.node.name.removeprefix('test_')[:12].strip('_')}-v"
    found = Tags(sandbox, prefix)
    found.follow()
    return found


def head_ref(machine: Machine) -> str:
    """What HEAD is in a host's checkout: a branch's ref, or a commit."""
    return (machine.checkout / ".git/HEAD").read_text().strip()


def branches_of(machine: Machine) -> Sequence[str]:
    folder = machine.checkout / ".git/refs/heads"
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def test_pushed_tag_brings_hosts_to_its_commit_detached(tags: Tags) -> None:
    before = [branches_of(machine) for machine in tags.sandbox.machines]
    commit = tags.commit("one")  # no branch of the upstream has it
    said = tags.push("1.0", commit)
    assert "it waits for a round, which takes the highest version of pushed_tag_b-v*" in said
    assert tags.sent() == [("pushed_tag_b-v1.0", commit, "tag")]
    assert [head_ref(machine) for machine in tags.sandbox.machines] == [commit] * 2
    assert [branches_of(machine) for machine in tags.sandbox.machines] == before
    assert tags.states(commit) == ["success"]


def test_highest_version_wins_and_a_pre_release_is_below_its_release(tags: Tags) -> None:
    release, candidate, lower = (tags.commit(words) for words in ("1.10", "1.10-rc.1", "1.9"))
    tags.push("1.10", release)
    for name, commit in (("1.10-rc.1", candidate), ("1.9", lower)):
        tags.push(name, commit)
        assert tags.heads() == {release}
    assert [one[1] for one in tags.sent()] == [release]
    newer = tags.commit("1.11-rc.1")
    tags.push("1.11-rc.1", newer)
    assert tags.heads() == {newer}


def test_annotated_and_nested_tags_lead_to_their_commit(tags: Tags) -> None:
    first, second = tags.commit("one"), tags.commit("two")
    tags.push("1", first, message="The first")
    assert tags.heads() == {first}
    tags.git("tag", "--annotate", "--message", "inner", "inner", second)
    tags.push("2", "inner", message="The second")
    assert tags.heads() == {second}
    assert tags.states(second) == ["success"]


def test_moved_tag_is_followed_and_a_deleted_one_changes_nothing(tags: Tags) -> None:
    first, second = tags.commit("one"), tags.commit("two")
    tags.push("1.0", first)
    tags.push("1.1", first)
    tags.push("1.1", second)
    assert tags.heads() == {second}
    tags.push("1.1", first, message="Back, and annotated")
    assert tags.heads() == {first}
    before = len(tags.sent())
    said = tags.git("push", "--quiet", "--delete", "origin", f"refs/tags/{tags.prefix}1.1")
    assert "was deleted" in said
    tags.sandbox.wait_until_quiet()
    assert [tags.sandbox.reconcile()["sent"] for _ in range(2)] == [0, 0]
    assert (tags.heads(), len(tags.sent())) == ({first}, before)


def test_branch_of_the_tag_s_name_is_another_thing(tags: Tags) -> None:
    of_tag, of_branch = tags.commit("tag"), tags.commit("branch")
    name = f"{tags.prefix}1"
    tags.git("push", "--quiet", "origin", f"{of_branch}:refs/heads/{name}")
    tags.sandbox.wait_until_quiet()
    assert tags.sent() == []
    tags.push("1", of_tag)
    assert tags.heads() == {of_tag}
    tags.git("push", "--quiet", "--force", "origin", f"{of_branch}~1:refs/heads/{name}")
    tags.sandbox.wait_until_quiet()
    assert (tags.heads(), len(tags.sent())) == ({of_tag}, 1)


def test_tags_whose_events_are_not_sent_are_found_by_the_next_round(tags: Tags) -> None:
    commit = tags.commit("one")
    names = [f"{tags.prefix}{number}" for number in range(1, 6)]
    for name in names:
        tags.git("tag", name, commit)
    said = tags.git("push", "--quiet", "origin", *names)
    assert "Pulley answered" not in said
    assert tags.sandbox.reconcile()["sent"] == 1
    tags.sandbox.wait_until_quiet()
    assert tags.sent() == [(names[-1], commit, "tag")]


def test_only_a_published_release_goes_out_if_releases_are_asked_for(tags: Tags) -> None:
    tags.follow(releases=True)
    (hook,) = tags.sandbox.github.hooks(FULL_NAME)
    hook.events = ("push", "release")  # as `pulley connect` makes it
    first, second = tags.commit("one"), tags.commit("two")
    tags.push("1", first)
    tags.push("2", second)
    assert tags.sent() == []

    def publish(tag: str, **fields: object) -> str:
        deliveries = tags.sandbox.github.publish_release(FULL_NAME, f"{tags.prefix}{tag}", **fields)
        tags.sandbox.wait_until_quiet()
        return " ".join(one.response for one in deliveries)

    publish("2", prerelease=True)
    assert tags.sent() == []
    assert f"a round looks whether '{tags.prefix}1' goes to web" in publish("1")
    assert (tags.heads(), tags.states(first)) == ({first}, ["success"])


def test_local_edit_is_saved_and_does_not_stop_the_tag(tags: Tags) -> None:
    commit = tags.commit("one")
    edited = tags.sandbox.machines[0]
    (edited.checkout / "index.html").write_text("edited on the host\n")
    tags.push("1", commit)
    assert tags.heads() == {commit}
    newest = tags.sandbox.account.run_command.commands()[0]
    results = tags.sandbox.results(newest.id)
    aside = {name: isinstance(one, HostResult) and one.saved for name, one in results.items()}
    assert [name for name, ref in aside.items() if ref] == [edited.name]
    assert (edited.checkout / "index.html").read_text() == f"{tags.prefix}one\n"


def test_new_host_gets_the_tag_and_none_that_was_deleted(tags: Tags) -> None:
    commit = tags.commit("one")
    tags.push("1", commit)
    late = tags.sandbox.add_machine("late-1")
    tags.sandbox.reconcile()
    tags.sandbox.wait_until_quiet()
    assert late.head() == commit
    tags.sandbox.terminate_machine(late)
    tags.git("push", "--quiet", "--delete", "origin", f"refs/tags/{tags.prefix}1")
    later = tags.sandbox.add_machine("late-2")
    before = later.head()
    tags.sandbox.reconcile()
    tags.sandbox.wait_until_quiet()
    newest = tags.sandbox.account.run_command.commands()[0]
    (result,) = tags.sandbox.results(newest.id).values()
    assert isinstance(result, HostResult)
    assert (result.outcome, later.head()) == ("missing_commit", before)
    tags.sandbox.terminate_machine(later)


def test_moved_tag_brings_no_commit_past_a_closed_gate(tags: Tags) -> None:
    tags.follow(checks=["test"])
    (hook,) = tags.sandbox.github.hooks(FULL_NAME)
    hook.events = ("push", "check_run", "release")  # as `pulley connect` makes it
    green, red = tags.commit("green"), tags.commit("red")
    tags.push("1", green)
    assert tags.sent() == []
    tags.sandbox.checker.finish_check(green, "test")
    tags.sandbox.wait_until_quiet()
    assert tags.heads() == {green}
    tags.push("1", red)
    late = tags.sandbox.add_machine("late")
    assert tags.sandbox.reconcile()["sent"] == 1
    tags.sandbox.wait_until_quiet()
    assert (tags.heads(), late.head()) == ({green}, green)
    assert {one[1:] for one in tags.sent()} == {(green, "tag-to")}
    tags.sandbox.checker.finish_check(red, "test")
    tags.sandbox.wait_until_quiet()
    assert tags.heads() == {red}
    tags.sandbox.terminate_machine(late)
