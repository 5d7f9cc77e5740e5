"""Commits, tags, releases, statuses and check runs as GitHub's JSON shows them.

The fields are those of GitHub's published OpenAPI description; `make contract` compares. Answers
and webhooks' payloads share these shapes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from pulley.sandbox.github.checks import CheckRun, CheckSuite, CommitStatus
from pulley.sandbox.github.commits import GitCommit, GitTag, Signature
from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.people import SENDER, Shape, node_id, show_user
from pulley.sandbox.github.releases import Release
from pulley.sandbox.github.repository_shape import page_of

_AVATAR = "https://avatars.githubusercontent.com/in/15368?v=4"
_APP: Mapping[str, object] = {
    "id": 15_368,
    "slug": "octo-ci",
    "node_id": "MDM6QXBwMTUzNjg=",
    "owner": show_user("octo", 1, "Organization"),
    "name": "Octo CI",
    "description": "",
    "external_url": "https://ci.example.invalid",
    "html_url": "https://github.com/apps/octo-ci",
    "created_at": "2018-07-30T09:30:17Z",
    "updated_at": "2019-12-10T19:04:12Z",
    "permissions": {"checks": "write", "statuses": "write"},
    "events": [],
}
_UNSIGNED: Mapping[str, object] = {
    "verified": False,
    "reason": "unsigned",
    "signature": None,
    "payload": None,
    "verified_at": None,
}


def show_time(moment: datetime) -> str:
    """A time as GitHub writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
            "verification": _UNSIGNED,
        },
        "author": None,
        "committer": None,
        "parents": [
            {"sha": sha, "url": f"{url}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
            for sha in commit.parents
        ],
    }


def show_simple_commit(commit: GitCommit) -> Shape:
    """A commit as a check suite has it."""
    return {
        "id": commit.sha,
        "tree_id": commit.tree,
        "message": commit.message,
        "timestamp": show_time(commit.committer.date),
        "author": {"name": commit.author.name, "email": commit.author.email},
        "committer": {"name": commit.committer.name, "email": commit.committer.email},
    }


def show_ref(url: str, ref: str, sha: str, kind: str) -> Shape:
    """A ref and its object. Of an annotated tag, that is the tag object, not the commit."""
    own = f"{url}/git/{ref}"
    return {"ref": ref, "node_id": node_id(own), "url": own, "object": _show_object(url, sha, kind)}


def show_tag(url: str, tag: GitTag) -> Shape:
    """A tag object. It may point at another one."""
    own = f"{url}/git/tags/{tag.sha}"
    return {
        "node_id": node_id(own),
        "tag": tag.tag,
        "sha": tag.sha,
        "url": own,
        "message": tag.message,
        "tagger": _show_signature(tag.tagger) if tag.tagger else None,
        "object": _show_object(url, tag.object, tag.kind),
        "verification": _UNSIGNED,
    }


def show_release(repository: HostedRepository, url: str, release: Release) -> Shape:
    """A release without assets. A draft's page has no tag's name."""
    own, page = f"{url}/releases/{release.id}", f"{page_of(repository)}/releases"
    named = f"untagged-{release.id:x}" if release.draft else release.tag_name
    published = show_time(release.published_at) if release.published_at else None
    return {
        "url": own,
        "assets_url": f"{own}/assets",
        "upload_url": f"{own}/assets{{?name,label}}",
        "html_url": f"{page}/tag/{named}",
        "id": release.id,
        "author": SENDER,
        "node_id": node_id(own),
        "tag_name": release.tag_name,
        "target_commitish": release.target_commitish,
        "name": release.name or None,
        "draft": release.draft,
        "immutable": False,
        "prerelease": release.prerelease,
        "created_at": show_time(release.created_at),
        "updated_at": show_time(release.published_at or release.created_at),
        "published_at": published,
        "assets": [],
        "tarball_url": f"{url}/tarball/{release.tag_name}",
        "zipball_url": f"{url}/zipball/{release.tag_name}",
        "body": release.body or None,
    }


def show_commit_status(url: str, status: CommitStatus) -> Shape:
    """A commit status, without its creator, as the combined status has it."""
    own = f"{url}/statuses/{status.sha}"
    return {
        "url": own,
        "avatar_url": _AVATAR,
        "id": status.id,
        "node_id": node_id(f"{own}/{status.id}"),
        "state": status.state,
        "description": status.description or None,
        "target_url": status.target_url or None,
        "context": status.context,
        "created_at": show_time(status.created_at),
        "updated_at": show_time(status.created_at),
    }


def show_check_run(repository: HostedRepository, url: str, run: CheckRun) -> Shape:
    """A check run, with no more of its suite than the id."""
    own = f"{url}/check-runs/{run.id}"
    page = f"{page_of(repository)}/runs/{run.id}"
    output: Shape = {name: run.output.get(name) for name in ("title", "summary", "text")}
    return {
        "id": run.id,
        "name": run.name,
        "node_id": node_id(own),
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "url": own,
        "html_url": page,
        "details_url": run.details_url or page,
        "status": run.status,
        "conclusion": run.conclusion or None,
        "started_at": show_time(run.started_at),
        "completed_at": show_time(run.completed_at) if run.completed_at else None,
        "output": output | {"annotations_count": 0, "annotations_url": f"{own}/annotations"},
        "check_suite": {"id": repository.checks.suite(run.head_sha).id},
        "app": _APP,
        "pull_requests": [],
    }


def show_check_suite(url: str, suite: CheckSuite) -> Shape:
    """A check suite, as a check run in a payload has it."""
    own = f"{url}/check-suites/{suite.id}"
    changed = max((run.completed_at or run.started_at for run in suite.runs), default=None)
    return {
        "id": suite.id,
        "node_id": node_id(own),
        "head_branch": suite.head_branch,
        "head_sha": suite.head_sha,
        "status": suite.status,
        "conclusion": suite.conclusion,
        "url": own,
        "before": None,
        "after": suite.head_sha,
        "pull_requests": [],
        "app": _APP,
        "created_at": show_time(suite.created_at),
        "updated_at": show_time(changed or suite.created_at),
    }


def _show_signature(signature: Signature) -> Shape:
    return {
        "name": signature.name,
        "email": signature.email,
        "date": show_time(signature.date),
    }


def _show_object(url: str, sha: str, kind: str) -> Shape:
    return {"sha": sha, "type": kind, "url": f"{url}/git/{kind}s/{sha}"}
