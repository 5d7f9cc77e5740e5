"""Reports to GitHub end to end: pushes as in `make demo`, then their events in other orders."""

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

import pytest

from chalicelib import wiring
from chalicelib.core.commands import COMMAND_CHANGE
from chalicelib.edges.github import GitHub as GitHubEdge
from chalicelib.flows.report import Reported
from pulley.demo import _commands_of, _push
from pulley.sandbox.github.deliveries import WebhookAnswer, post_delivery, push_payload
from pulley.sandbox.github.server import GitHubServer
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox

Event = Mapping[str, object]
ORDERS = int(os.environ.get("PULLEY_ORDERS", "6"))  # a hundred in `make soak`


@dataclass
class Story:
    """Pushes to two hosts, and all their events."""

    sandbox: Sandbox
    events: list[Event]
    commits: dict[str, str]

    def command_of(self, event: Event) -> str:
        return str(cast("Mapping[str, object]", event["detail"])["command-id"])

    def state_of(self, name: str) -> tuple[str, str]:
        return states_of(self.sandbox.github)[self.commits[name]]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """A good commit, delivered twice; a commit that fails its health check; and its fix."""
    events: list[Event] = []
    with Sandbox(["web-1", "web-2"]) as sandbox:
        sandbox.account.subscribe(events.append)
        sandbox.machines[1].commit("robots.txt", "User-agent: *\n", "A hotfix on the host")
        story = Story(sandbox, events, {})
        old = sandbox.developer.head.commit.hexsha
        story.commits["good"] = sandbox.commit({"index.html": "good\n"}, "Good")
        wait(sandbox, _push(sandbox.developer))
        body = push_payload(
            sandbox.developer, FULL_NAME, "refs/heads/main", old, story.commits["good"]
        )
        wait(sandbox, post_delivery(sandbox.webhook.url, body, sandbox.secret))
        sandbox.developer.index.remove(["health"], working_tree=True)
        story.commits["ill"] = sandbox.commit({"index.html": "ill\n"}, "Ill")
        wait(sandbox, _push(sandbox.developer))
        story.commits["fixed"] = sandbox.commit({"health": "ok\n"}, "Fixed")
        wait(sandbox, _push(sandbox.developer))
        yield story


def wait(sandbox: Sandbox, answer: WebhookAnswer) -> None:
    assert answer.status == 202, answer
    for command_id in _commands_of(answer):
        sandbox.account.wait_until_ended(command_id)
    sandbox.wait_until_reported()


def states_of(github: GitHubServer) -> dict[str, tuple[str, str]]:
    """Each commit's state and description. One commit has one deployment."""
    made = github.deployments(FULL_NAME)
    found = {one.sha: (one.state, one.status.description if one.status else "") for one in made}
    assert len(found) == len(made)
    return found


class TestStates:
    def test_commit_on_every_host_is_a_success_that_lists_the_hosts(self, story: Story) -> None:
        deployments = story.sandbox.github.deployments(FULL_NAME)
        (good,) = (one for one in deployments if one.sha == story.commits["good"])
        ended = [one for one in good.statuses if one.state != "in_progress"]
        assert [one.state for one in ended] == ["success", "inactive"]
        short = story.commits["good"][:7]
        assert ended[0].description == (
            f"2 of 2 hosts at {short}: web-1, web-2 (1 local commit on top)"
        )
        assert "/systems-manager/run-command/" in ended[0].log_url

    def test_commit_with_a_failing_health_check_is_a_failure_that_names_the_roll_back(
        self, story: Story
    ) -> None:
        state, description = story.state_of("ill")
        assert state == "failure"
        ill, good = story.commits["ill"][:7], story.commits["good"][:7]
        assert description.startswith(f"0 of 2 hosts at {ill}, 2 failed; web-1")
        assert f"rolled back to {good}" in description
        assert "health check: the last answer was 404" in description

    def test_replaced_commit_is_inactive_and_names_its_replacement(self, story: Story) -> None:
        assert story.state_of("good") == ("inactive", f"replaced by {story.commits['fixed'][:7]}")
        assert story.state_of("fixed")[0] == "success"

    def test_every_event_was_reported_at_the_first_attempt(self, story: Story) -> None:
        assert story.sandbox.reporter.outcomes
        assert all((one.error, one.attempts) == ("", 1) for one in story.sandbox.reporter.outcomes)


class TestOrderOfEvents:
    def test_events_in_any_order_with_repeats_and_gaps_end_in_the_same_states(
        self, story: Story, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in story.sandbox.account.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PULLEY_STAGE", STAGE)
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it has another account's key
        wiring._reporter.cache_clear()
        reporter = wiring._reporter()
        wiring._reporter.cache_clear()
        expected = states_of(story.sandbox.github)
        seen = set()
        for seed in range(ORDERS):
            order = shuffled(story, random.Random(seed))  # noqa: S311 - no secret comes of it
            seen.add(tuple(str(event["id"]) for event in order))
            with GitHubServer(
                {FULL_NAME: story.sandbox.upstream.path}, token=story.sandbox.token
            ) as github:
                deployment_sync = replace(
                    reporter.deployment_sync, github=GitHubEdge(github.api_url).of
                )
                again = replace(reporter, deployment_sync=deployment_sync)
                reported = [again.report(one, now=datetime.now(UTC)) for one in order]
                assert any(isinstance(one, Reported) for one in reported)
                assert states_of(github) == expected, seed
        assert len(seen) == ORDERS


def shuffled(story: Story, chance: random.Random) -> Sequence[Event]:
    """Repeat some events and drop others, but keep at least one of each command."""
    of_command: dict[str, list[Event]] = {}
    for event in story.events:
        if event["detail-type"] == COMMAND_CHANGE:
            of_command.setdefault(story.command_of(event), []).append(event)
    kept = [
        event
        for events in of_command.values()
        for event in chance.sample(events, chance.randint(1, len(events)))
    ]
    invocations = [one for one in story.events if one["detail-type"] != COMMAND_CHANGE]
    kept += chance.choices(kept, k=chance.randint(0, 3)) + chance.sample(invocations, 1)
    chance.shuffle(kept)
    return kept
