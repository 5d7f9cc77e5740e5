"""Delivers pushes to the webhooks that want them.

GitHub does so some time after the push. Here the pusher waits and reads the answers: the upstream's
post-receive hook (`post_receive`) passes the refs on, and gets back what to print.
"""

from collections.abc import Sequence
from typing import NamedTuple

from git import Repo

from pulley.sandbox.github.deliveries import push_event
from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.hooks import Hooks
from pulley.sandbox.github.sender import Hookshot

PUSHES = "/sandbox/pushes"
_MOST_TAGS = 3  # GitHub sends no event for more tags at once


class Push(NamedTuple):
    """A line that git gives a post-receive hook: two commits and a full ref."""

    before: str
    after: str
    ref: str


def tell_of_pushes(
    repository: HostedRepository, hooks: Hooks, hookshot: Hookshot, pushes: Sequence[Push]
) -> list[dict[str, object]]:
    """Deliver each push to each webhook, one after the other. Returns the answers."""
    answers: list[dict[str, object]] = []
    tags = [one for one in pushes if one.ref.startswith("refs/tags/")]
    if len(tags) > _MOST_TAGS:
        pushes = [one for one in pushes if one not in tags]
    with Repo(repository.path) as git:
        for before, after, ref in pushes:
            payload = push_event(git, repository.full_name, ref, before, after)
            for hook in hooks.wanting("push"):
                one = hookshot.post(hook, "push", payload)
                told = {"url": one.url, "code": one.status_code, "status": one.status}
                answers.append(told | {"response": one.response})
    return answers
