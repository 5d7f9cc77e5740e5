"""The examples of deliveries that the project octokit/webhooks collects, posted to the app."""

import json
from collections.abc import Iterator
from typing import Any

from chalicelib.core.refs import Repository
from tests.app.run_command import RunCommand
from tests.app.stage import Stage
from tests.contract.conftest import published
from tests.fakes import NAMES, target_json, targets_text

BRANCHES, NO_COMMIT = "refs/heads/", "0" * 40
Example = tuple[str, dict[str, Any]]


def examples() -> Iterator[Example]:
    """Each example's event and payload, of github.com and of the Enterprise servers."""
    for file in sorted(published("webhooks-examples").glob("*/index.json")):
        for event in json.loads(file.read_text()):
            for payload in event["examples"]:
                yield event["name"], payload


def pushes() -> list[dict[str, Any]]:
    return [payload for event, payload in examples() if event == "push"]


def moves_a_branch(push: dict[str, Any]) -> bool:
    return str(push["ref"]).startswith(BRANCHES) and push["after"] != NO_COMMIT


def store_target_for(stage: Stage, push: dict[str, Any]) -> None:
    full_name, branch = push["repository"]["full_name"], push["ref"].removeprefix(BRANCHES)
    target = target_json(repository=full_name, branch=branch)
    stage.store(NAMES.targets(Repository.parse(full_name)), targets_text(target))


def test_each_example_is_taken_and_each_event_that_may_open_a_gate_wakes_a_round(
    stage: Stage, run_command: RunCommand
) -> None:
    """Most examples are of one repository. Its targets wait for all that Pulley listens to."""
    repository = "Codertocat/Hello-World"
    targets = [
        target_json("web", branch="master"),
        target_json("late", branch="changes", checks=["Octocoders-linter", "default"]),
        target_json("asked", branch="master", trigger="deployment", environment="production"),
        target_json("tagged", branch=None, tag="*", releases=True),
    ]
    targets = [
        {key: value for key, value in one.items() if value is not None} | {"repository": repository}
        for one in targets
    ]
    stage.store(NAMES.targets(Repository.parse(repository)), targets_text(*targets))
    refused, waking = [], set()
    for event, payload in examples():
        before = len(stage.wire.arguments_of("Invoke"))
        answer = stage.deliver(payload, event=event)
        if answer.status not in {200, 202}:
            refused.append((event, answer))
        if len(stage.wire.arguments_of("Invoke")) > before:
            waking.add(event)
    assert refused == []
    # No example of workflow_run is of a run that was green on a branch of these.
    assert waking == {"check_run", "check_suite", "deployment", "push", "release", "status"}
    assert run_command.commands  # of pushes to master


def test_each_example_of_a_push_to_a_branch_is_deployed(
    stage: Stage, run_command: RunCommand
) -> None:
    moving = [push for push in pushes() if moves_a_branch(push)]
    for push in moving:
        run_command.commands.clear()
        store_target_for(stage, push)
        answer = stage.deliver(push)
        assert (answer.status, answer.body["commit"]) == (202, push["after"])
        (sent,) = run_command.commands
        assert sent.arguments["Parameters"]["Commit"] == [push["after"]]
    assert moving


def test_no_example_of_another_push_is_deployed(stage: Stage, run_command: RunCommand) -> None:
    others = [push for push in pushes() if not moves_a_branch(push)]
    for push in others:
        if push["ref"].startswith(BRANCHES):
            store_target_for(stage, push)
        answer = stage.deliver(push)
        assert (answer.status, run_command.commands) == (200, [])
    assert others
