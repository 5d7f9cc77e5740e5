"""Deliveries in GitHub's shape, signed and posted as GitHub does it.

Also the upstream's post-receive hook: `python -m pulley.sandbox.deliveries URL SECRET_FILE
OWNER/REPO` reads the pushed refs from stdin and prints each answer, which git shows to the pusher.
"""

import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from git import Commit, Repo

NULL = "0" * 40
ANSWER_SECONDS = 10  # that GitHub waits


@dataclass(frozen=True)
class Answer:
    """What the webhook answered."""

    status: int
    body: Mapping[str, object]


def push_payload(repository: Repo, full_name: str, ref: str, before: str, after: str) -> bytes:
    """Return the body of a push event, with the keys that GitHub's has."""
    created, deleted = before == NULL, after == NULL
    commits = [] if deleted else list(repository.iter_commits(after, max_count=20))
    if not created:
        known = {commit.hexsha for commit in repository.iter_commits(before)}
        commits = [commit for commit in commits if commit.hexsha not in known]
    owner, name = full_name.split("/")
    payload = {
        "ref": ref,
        "before": before,
        "after": after,
        "created": created,
        "deleted": deleted,
        "forced": not created and not deleted and before not in _ancestors(repository, after),
        "base_ref": None,
        "compare": f"https://github.com/{full_name}/compare/{before[:12]}...{after[:12]}",
        "commits": [_commit(commit) for commit in reversed(commits)],
        "head_commit": None if deleted else _commit(repository.commit(after)),
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
    return json.dumps(payload).encode()


def post_delivery(
    url: str, body: bytes, secret: bytes, *, event: str = "push", delivery: str = ""
) -> Answer:
    """Sign with the secret, post, and return the answer, whatever its status."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/sandbox",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
        "X-GitHub-Hook-ID": "1",
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
    }
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - a loopback address
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            return Answer(answer.status, json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, json.load(error))


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


def main(url: str, secret_file: str, full_name: str) -> None:
    """Post a delivery for each line that git gives its post-receive hook."""
    secret = Path(secret_file).read_text().splitlines()[0].encode()
    with Repo(".") as repository:
        for line in sys.stdin:
            before, after, ref = line.split()
            body = push_payload(repository, full_name, ref, before, after)
            answer = post_delivery(url, body, secret)
            print(f"Pulley answered {answer.status}: {json.dumps(answer.body)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
