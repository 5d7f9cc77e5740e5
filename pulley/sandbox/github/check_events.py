"""The events of commit statuses and check runs: `status`, `check_run` and `check_suite`.

From GitHub's page "Webhook events and payloads" and its published schemas. An event goes to each
webhook that subscribes to it.
"""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from pulley.sandbox.github.checks import CheckRun, CommitStatus
from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.hooks import Hooks
from pulley.sandbox.github.people import SENDER, Shape
from pulley.sandbox.github.repository_shape import show_repository
from pulley.sandbox.github.sender import Post
from pulley.sandbox.github.shapes import (
    show_check_run,
    show_check_suite,
    show_commit,
    show_commit_status,
    show_simple_commit,
)

_MOST_BRANCHES = 10


class Event(NamedTuple):
    """What happened, as every webhook is told."""

    name: str
    payload: Shape


def status_events(repository: HostedRepository, url: str, status: CommitStatus) -> list[Event]:
    """A status was created. Its branches are those whose history has the commit."""
    branches = repository.commits.branches_with(status.sha)[:_MOST_BRANCHES]
    shown = show_commit_status(url, status)
    payload = {
        **{name: value for name, value in shown.items() if name not in {"url", "node_id"}},
        "sha": status.sha,
        "name": repository.full_name,
        "commit": show_commit(repository, url, repository.commits.find(status.sha)),
        "branches": [
            {
                "name": name,
                "commit": {"sha": tip, "url": f"{url}/commits/{tip}"},
                "protected": False,
            }
            for name, tip in branches
        ],
    }
    return [make_event("status", repository, url, payload)]


def run_events(
    repository: HostedRepository, url: str, run: CheckRun, before: CheckRun | None
) -> list[Event]:
    """A run was created, or changed from what it was before.

    A run that is created completed is both created and completed. The suite is completed when all
    its latest runs are, and again whenever they are so after a change.
    """
    suite = repository.checks.suite(run.head_sha)
    in_payload = {"check_suite": show_check_suite(url, suite)}
    payload: Shape = {"check_run": show_check_run(repository, url, run) | in_payload}
    events: list[Event] = []
    if before is None:
        events.append(make_event("check_run", repository, url, payload, "created"))
    was = (before.status, before.conclusion) if before else None
    if run.status == "completed" and was != (run.status, run.conclusion):
        events.append(make_event("check_run", repository, url, payload, "completed"))
        if suite.status == "completed":
            more = {
                "latest_check_runs_count": len(suite.runs),
                "check_runs_url": f"{url}/check-suites/{suite.id}/check-runs",
                "head_commit": show_simple_commit(repository.commits.find(run.head_sha)),
            }
            whole: Shape = {"check_suite": show_check_suite(url, suite) | more}
            events.append(make_event("check_suite", repository, url, whole, "completed"))
    return events


def posts_of(hooks: Hooks, events: Sequence[Event]) -> list[Post]:
    """What to post to the webhooks as they are now: all webhooks of the first event first."""
    posts: list[Post] = []
    for event in events:
        guid = str(uuid.uuid4())
        posts += [Post(hook, *event, guid) for hook in hooks.wanting(event.name)]
    return posts


def make_event(
    name: str, repository: HostedRepository, url: str, payload: Shape, action: str = ""
) -> Event:
    """An event of a repository. `url` is the repository's in the API."""
    head: Shape = {"action": action} if action else {}
    shared: Shape = {"repository": show_repository(repository, url), "sender": SENDER}
    return Event(name, {**head, **payload, **shared})
