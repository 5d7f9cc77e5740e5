"""Pushes as GitHub signs them, as the events that API Gateway makes.

Sources: GitHub's page "Webhook events and payloads" (push: at most 2,048 commits); AWS Lambda
developer guide, "Input format of a Lambda function for proxy integration".
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

SECRET = "It's a Secret to Everybody"  # noqa: S105 - from GitHub's own page
REPOSITORY = "octo/site"
COMMIT = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"
DELIVERY = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
SMALL, LARGE = 7_000, 5_000_000  # bytes: one commit; the most that API Gateway and Lambda accept
MOST_COMMITS = 2048
# How the addresses of a repository in a payload end.
_LINKS = (
    "forks", "keys{/key_id}", "collaborators{/collaborator}", "teams", "hooks",
    "issues/events{/number}", "events", "assignees{/user}", "branches{/branch}", "tags",
    "git/blobs{/sha}", "git/tags{/sha}", "git/refs{/sha}", "git/trees{/sha}", "statuses/{sha}",
    "languages", "stargazers", "contributors", "subscribers", "subscription", "commits{/sha}",
    "git/commits{/sha}", "comments{/number}", "issues/comments{/number}", "contents/{+path}",
    "compare/{base}...{head}", "merges", "{archive_format}{/ref}", "downloads", "issues{/number}",
    "pulls{/number}", "milestones{/number}", "notifications{?since,all,participating}",
    "labels{/name}", "releases{/id}", "deployments",
)  # fmt: skip
_PERSON_LINKS = (
    "followers",
    "following{/other_user}",
    "gists{/gist_id}",
    "orgs",
    "repos",
    "events",
)


def push(size: int, repository: str = REPOSITORY) -> bytes:
    """A push's body of this many bytes: one commit, or the most that GitHub lists, with files."""
    commits = 1 if size < 100_000 else MOST_COMMITS
    one, two = (len(_body(repository, commits, files, padding="")) for files in (1, 2))
    files = 1 + (size - one) // (two - one)
    missing = size - one - (files - 1) * (two - one)
    body = _body(repository, commits, files, padding="x" * missing)
    if len(body) != size:
        raise AssertionError(f"{len(body)} bytes, not {size}")
    return body


def sign(body: bytes, *, secret: str = SECRET, algorithm: str = "sha256") -> str:
    """The signature header's value, as GitHub makes it."""
    digest = hmac.new(secret.encode(), body, getattr(hashlib, algorithm))
    return f"{algorithm}={digest.hexdigest()}"


def headers(body: bytes, *, secret: str = SECRET) -> dict[str, str]:
    """The headers of GitHub and API Gateway for a body. GitHub signs with both algorithms."""
    return {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Host": "abcdef1234.execute-api.eu-central-1.amazonaws.com",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-Amzn-Trace-Id": "Root=1-5e66d96f-7491f09xmpl79d18acf3d050",
        "X-Forwarded-For": "140.82.115.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        "X-GitHub-Delivery": DELIVERY,
        "X-GitHub-Event": "push",
        "X-GitHub-Hook-ID": "292430182",
        "X-GitHub-Hook-Installation-Target-ID": "79929171",
        "X-GitHub-Hook-Installation-Target-Type": "repository",
        "X-Hub-Signature": sign(body, secret=secret, algorithm="sha1"),
        "X-Hub-Signature-256": sign(body, secret=secret),
    }


def event(
    body: bytes, *, secret: str = SECRET, content_type: str = "application/json"
) -> Mapping[str, Any]:
    """The proxy event of a delivery."""
    sent = headers(body, secret=secret) | {"Content-Type": content_type}
    return {
        "resource": "/github",
        "path": "/github",
        "httpMethod": "POST",
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "2gxmpl",
            "resourcePath": "/github",
            "httpMethod": "POST",
            "path": "/dev/github",
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "dev",
            "requestTimeEpoch": 1899331439617,
            "requestId": "77375676-xmpl-4b79-853a-f982474efe18",
            "identity": {"sourceIp": "140.82.115.1", "userAgent": sent["User-Agent"]},
            "apiId": "abcdef1234",
        },
        "body": body.decode(),
        "isBase64Encoded": False,
    }


def _body(repository: str, commits: int, files: int, padding: str) -> bytes:
    """JSON as GitHub writes it: in its order of keys, without spaces."""
    owner, _, name = repository.partition("/")
    api = f"https://api.github.com/repos/{repository}"
    described: dict[str, object] = {
        "id": 186853002,
        "node_id": "R_kgDOCyMjGg",
        "name": name,
        "full_name": repository,
        "private": True,
        "owner": _account(owner),
        "html_url": f"https://github.com/{repository}",
        "description": "What octo has on the web",
        "url": api,
    }
    for link in _LINKS:
        key = link.partition("{")[0].rstrip("/").replace("/", "_") or "archive"
        described[f"{key}_url"] = f"{api}/{link}"
    described |= {"created_at": 1557862272, "pushed_at": 1899331435, "size": 4242}
    described |= {"default_branch": "main", "topics": [], "visibility": "private"}
    payload = {
        "ref": "refs/heads/main",
        "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "after": COMMIT,
        "repository": described,
        "pusher": {"name": "mona", "email": "mona@example.invalid"},
        "sender": _account("mona"),
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"https://github.com/{repository}/compare/6113728f27ae...4d5e6f7a8b9c",
        "commits": [_commit(number, files, padding="") for number in range(commits)],
        "head_commit": _commit(commits - 1, 1, padding=padding),
    }
    return json.dumps(payload, separators=(",", ":")).encode()


def _account(login: str) -> dict[str, object]:
    address = f"https://api.github.com/users/{login}"
    links = {f"{link.partition('{')[0]}_url": f"{address}/{link}" for link in _PERSON_LINKS}
    return {"login": login, "id": 21031067, "url": address, **links, "type": "User"}


def _commit(number: int, files: int, *, padding: str) -> dict[str, object]:
    mona = {"name": "Mona", "email": "mona@example.invalid", "username": "mona"}
    return {
        "id": f"{number:040x}",
        "tree_id": f"{number + 1:040x}",
        "distinct": True,
        "message": f"Change number {number}\n\nWith a second paragraph. {padding}",
        "timestamp": "2026-11-21T10:00:00+01:00",
        "url": f"https://github.com/octo/site/commit/{number:040x}",
        "author": mona,
        "committer": mona,
        "added": [],
        "removed": [],
        "modified": [f"content/pages/{number:04}/part-{file:03}.md" for file in range(files)],
    }
