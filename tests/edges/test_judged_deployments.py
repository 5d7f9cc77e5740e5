"""A deployment that GitHub makes only if checks are green: the fake and the real edge agree.

The real edge calls the sandbox's GitHub, which judges as GitHub does.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import check_output, run

import pytest
import urllib3

from chalicelib.core.deployments import Deployment, DeploymentRequest, DeploymentStatus, NotGreen
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_stored_targets
from chalicelib.core.waiting import CLOSED, OPEN, Gate
from chalicelib.edges.github import GitHub
from chalicelib.edges.github_reading import reading
from chalicelib.flows.gated_deployments import GatedDeployments, GatedRepository
from pulley.sandbox.github.server import GitHubServer as SandboxGitHub
from tests.fakes import GUID, SITE, STAGE, TOKEN, FakeDeployments, target_json, targets_text

pytestmark = pytest.mark.timeout(30)


@dataclass(frozen=True)
class GitHubSide:
    """A repository with one commit. `say` sets the state of a check of this commit."""

    repository: GatedRepository
    commit: CommitSha
    say: Callable[[str, str], None]

    @property
    def request(self) -> DeploymentRequest:
        return DeploymentRequest(self.commit, "web", STAGE, "web", GUID)

    def judge(self, *checks: str) -> Deployment | NotGreen:
        return self.repository.create_if_green(self.request, checks)


@pytest.fixture
def commit(tmp_path: Path) -> CommitSha:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    run(["git", "init", "--quiet", "--bare", str(tmp_path)], check=True)
    tree = check_output([*git, "mktree"], input=b"").decode().strip()
    sha = check_output([*git, "commit-tree", "-m", "x", tree]).decode().strip()
    run([*git, "update-ref", "refs/heads/main", sha], check=True)
    return CommitSha(sha)


@pytest.fixture(params=["fake", "sandbox"])
def side(request: pytest.FixtureRequest, tmp_path: Path, commit: CommitSha) -> Iterator[GitHubSide]:
    if request.param == "fake":
        fake = FakeDeployments()
        states = fake.checks.setdefault(commit.sha, {})
        yield GitHubSide(fake, commit, states.__setitem__)
        return
    with SandboxGitHub({"octo/site": tmp_path}, token=TOKEN) as sandbox:
        # The CI server, which has the same token, writes statuses.
        sandbox.permissions |= {"statuses": "write", "checks": "read"}
        github = GitHub(sandbox.api_url)

        def say(name: str, state: str) -> None:
            answer = urllib3.request(
                "POST",
                f"{sandbox.api_url}/repos/octo/site/statuses/{commit.sha}",
                body=json.dumps({"context": name, "state": state}),
                headers={"Authorization": f"Bearer {TOKEN}", "User-Agent": "ci"},
            )
            assert answer.status == 201

        yield GitHubSide(reading(github)(SITE, TOKEN), commit, say)
        github._pool.clear()


class TestCreateIfGreen:
    def test_green_checks_make_the_deployment_which_is_found(self, side: GitHubSide) -> None:
        side.say("test", "success")
        side.say("lint", "success")
        made = side.judge("test", "lint")
        assert isinstance(made, Deployment)
        assert side.repository.find(side.request) == made

    @pytest.mark.parametrize("state", ["pending", "failure", "error"])
    def test_check_that_is_not_green_makes_no_deployment(
        self, side: GitHubSide, state: str
    ) -> None:
        side.say("test", "success")
        side.say("lint", state)
        assert side.judge("test", "lint") == NotGreen(f"lint: {state}")
        assert side.repository.find(side.request) is None

    def test_check_that_has_not_begun_makes_no_deployment(self, side: GitHubSide) -> None:
        side.say("test", "success")
        outcome = side.judge("test", "lint")
        assert isinstance(outcome, NotGreen)
        assert outcome.reason.startswith("lint: ")
        assert side.repository.find(side.request) is None

    def test_checks_that_are_not_named_do_not_count(self, side: GitHubSide) -> None:
        side.say("test", "success")
        side.say("other", "failure")
        assert isinstance(side.judge("test"), Deployment)

    def test_without_names_every_check_that_there_is_counts(self, side: GitHubSide) -> None:
        side.say("test", "success")
        side.say("other", "pending")
        assert side.judge() == NotGreen("other: pending")
        side.say("other", "success")
        assert isinstance(side.judge(), Deployment)

    def test_commit_without_any_check_is_green_if_none_is_named(self, side: GitHubSide) -> None:
        assert isinstance(side.judge(), Deployment)

    def test_check_run_again_counts_by_its_newest_state(self, side: GitHubSide) -> None:
        for state in ("failure", "pending"):
            side.say("test", state)
            assert isinstance(side.judge("test"), NotGreen)
        side.say("test", "success")
        assert isinstance(side.judge("test"), Deployment)

    def test_two_commits_without_common_history_have_no_merge_base(self, side: GitHubSide) -> None:
        assert side.repository.merge_base(side.commit, CommitSha("a" * 40)) is None


class TestGatedDeployments:
    """The flow on both."""

    def gated(self, side: GitHubSide, checks: object = ("test",)) -> GatedDeployments:
        checks = list(checks) if isinstance(checks, tuple) else checks
        (target,) = parse_stored_targets(targets_text(target_json(checks=checks)), SITE)
        return GatedDeployments(STAGE, target, side.repository)

    def test_gate_opens_with_the_deployment_and_closes_if_a_check_turns_red(
        self, side: GitHubSide
    ) -> None:
        gated = self.gated(side)
        assert gated.judge_checks(side.commit)[0].state == CLOSED
        side.say("test", "success")
        gate, made = gated.judge_checks(side.commit)
        assert made
        deployment, is_new = made
        assert (gate.state, is_new) == (OPEN, True)
        assert gated.judge_checks(side.commit) == (gate, (deployment, False))
        side.say("test", "failure")
        assert gated.judge_checks(side.commit)[0].state == CLOSED

    def test_every_check_is_judged_if_none_is_named(self, side: GitHubSide) -> None:
        gated = self.gated(side, checks=True)
        none_yet = gated.judge_checks(side.commit)
        assert none_yet == (
            Gate("checks", CLOSED, "waits for every check: none was reported yet"),
            None,
        )
        side.say("other", "failure")
        assert gated.judge_checks(side.commit)[0].reason == "waits for other: failure"
        side.say("other", "success")
        gate, made = gated.judge_checks(side.commit)
        assert made
        assert gate.state == OPEN

    def test_deployment_that_nobody_judged_opens_nothing(self, side: GitHubSide) -> None:
        first, gated = side.repository.create(side.request), self.gated(side)
        gate, made = gated.judge_checks(side.commit)
        assert (gate.state, made) == (CLOSED, None)
        side.say("test", "success")
        assert gated.judge_checks(side.commit)[1] == (first, False)
        (twin, _) = side.repository.newest("web")
        assert side.repository.statuses(twin.id) == [
            DeploymentStatus("inactive", f"the same as {first.id}")
        ]
