"""Deliveries in GitHub's shape: their payload, their headers, their signature.

sender.py posts those of webhooks; `post_delivery` posts one by hand.
"""

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from git import Commit, Repo

NULL = "0" * 40
ANSWER_SECONDS = 10  # how long GitHub waits


@dataclass(frozen=True)
class WebhookAnswer:
    """What the webhook answered."""

    status: int
    body: Mapping[str, object]


def push_payload(repository: Repo, full_name: str, ref: str, before: str, after: str) -> bytes:
    """Return the body of a push event, as JSON."""
    return json.dumps(push_event(repository, full_name, ref, before, after)).encode()


def push_event(
    repository: Repo, full_name: str, ref: str, before: str, after: str
) -> dict[str, object]:
    """Return the payload of a push event, with GitHub's keys.

    A tag's `after` is its object, which may be a tag object, or lead to no commit at all.
    """
    created, deleted = before == NULL, after == NULL
    has_commit = not deleted and _leads_to_commit(repository, after)
    commits = list(repository.iter_commits(after, max_count=20)) if has_commit else []
    if not created and commits and _leads_to_commit(repository, before):
        known = {commit.hexsha for commit in repository.iter_commits(before)}
        commits = [commit for commit in commits if commit.hexsha not in known]
    owner, name = full_name.split("/")
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "created": created,
        "deleted": deleted,
        "forced": not created and has_commit and before not in _ancestors(repository, after),
        "base_ref": None,
        "compare": f"https://github.com/{full_name}/compare/{before[:12]}...{after[:12]}",
        "commits": [_commit(commit) for commit in reversed(commits)],
        "head_commit": _commit(repository.commit(after)) if has_commit else None,
        "repository": {
            "name": name,
            "full_name": full_name,
            "private": True,
            "owner": {"name": owner, "login": owner},
            "default_branch": "main",
            "pushed_at": int(time.time()),
        },
        "pusher": {"name": "someone", "email": None},
        "sender": {"login": "someone"},
    }


def post_delivery(
    url: str, body: bytes, secret: bytes, *, event: str = "push", delivery: str = ""
) -> WebhookAnswer:
    """Sign with the secret, post, and return the answer, whatever its status."""
    headers = delivery_headers(body, secret, event=event, guid=delivery or str(uuid.uuid4()))
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - a loopback address
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            return WebhookAnswer(answer.status, json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            return WebhookAnswer(error.code, json.load(error))


def delivery_headers(  # noqa: PLR0913 - each is a header of its own
    body: bytes,
    secret: bytes,
    *,
    event: str,
    guid: str,
    hook_id: int = 1,
    content_type: str = "application/json",
) -> dict[str, str]:
    """The headers that GitHub sends with a body. Without a secret there is no signature."""
    headers = {
        "Accept": "*/*",
        "Content-Type": content_type,
        "User-Agent": "GitHub-Hookshot/sandbox",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": guid,
        "X-GitHub-Hook-ID": str(hook_id),
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }
    if secret:
        headers |= {
            "X-Hub-Signature": "sha1=" + hmac.new(secret, body, hashlib.sha1).hexdigest(),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
        }
    return headers


def _leads_to_commit(repository: Repo, sha: str) -> bool:
    name = f"{sha}^{{commit}}"
    return bool(repository.git.rev_parse("--verify", "--quiet", name, with_exceptions=False))


def _ancestors(repository: Repo, commit: str) -> set[str]:
    return {ancestor.hexsha for ancestor in repository.iter_commits(commit)}


def _commit(commit: Commit) -> dict[str, object]:
    author = {"name": str(commit.author.name), "email": str(commit.author.email)}
    return {
        "id": commit.hexsha,
        "tree_id": commit.tree.hexsha,
        "message": str(commit.message).rstrip("\n"),
        "timestamp": commit.committed_datetime.isoformat(),
        "author": author,
        "committer": author,
    }
