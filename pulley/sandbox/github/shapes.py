"""Repositories and commits as GitHub's JSON shows them.

The fields are those of GitHub's published OpenAPI description. Left out: the repository's templates
of addresses. Answers and webhooks' payloads share these shapes.
"""

import base64
from datetime import UTC, datetime

from pulley.sandbox.github.commits import GitCommit, Signature
from pulley.sandbox.github.deployments import HostedRepository

Shape = dict[str, object]

_ROLES = ("admin", "maintain", "push", "triage", "pull")


def node_id(url: str) -> str:
    """An object's id in GitHub's GraphQL API."""
    return base64.urlsafe_b64encode(url.encode()).decode()


def show_time(moment: datetime) -> str:
    """A time as GitHub writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def page_of(repository: HostedRepository) -> str:
    """The repository's address for a browser."""
    return f"https://github.com/{repository.full_name}"


def show_repository(repository: HostedRepository, url: str) -> Shape:
    """A repository, as its owner sees it. `url` is its address in the API."""
    owner, _, name = repository.full_name.partition("/")
    return {
        "id": repository.id,
        "node_id": node_id(url),
        "name": name,
        "full_name": repository.full_name,
        "private": True,
        "visibility": "private",
        "owner": {"login": owner, "type": "Organization"},
        "html_url": page_of(repository),
        "clone_url": f"{page_of(repository)}.git",
        "url": url,
        "hooks_url": f"{url}/hooks",
        "deployments_url": f"{url}/deployments",
        "default_branch": repository.commits.default_branch,
        "archived": False,
        "disabled": False,
        # The user's permissions; a header says what the token may do.
        "permissions": dict.fromkeys(_ROLES, True),
    }


def show_commit(repository: HostedRepository, url: str, commit: GitCommit) -> Shape:
    """A commit. GitHub knows no account of its author's."""
    page = page_of(repository)
    return {
        "url": f"{url}/commits/{commit.sha}",
        "sha": commit.sha,
        "node_id": node_id(f"{url}/commits/{commit.sha}"),
        "html_url": f"{page}/commit/{commit.sha}",
        "comments_url": f"{url}/commits/{commit.sha}/comments",
        "commit": {
            "url": f"{url}/git/commits/{commit.sha}",
            "author": _show_signature(commit.author),
            "committer": _show_signature(commit.committer),
            "message": commit.message,
            "comment_count": 0,
            "tree": {"sha": commit.tree, "url": f"{url}/git/trees/{commit.tree}"},
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
            },
        },
        "author": None,
        "committer": None,
        "parents": [
            {"sha": sha, "url": f"{url}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
            for sha in commit.parents
        ],
    }


def _show_signature(signature: Signature) -> Shape:
    return {
        "name": signature.name,
        "email": signature.email,
        "date": show_time(signature.date),
    }
