"""The fields that GitHub's published descriptions require, and their types.

From the OpenAPI description of the REST API (schemas `status`, `combined-commit-status`,
`check-run`, `commit`, `commit-comparison`, `deployment`, `git-ref`, `git-tag`, `release`) and from
the JSON schemas of the webhooks' payloads. Of a repository, these are only the fields that a
consumer needs.
"""

from collections.abc import Mapping
from types import NoneType

TEXT_OR_NULL = (str, NoneType)
USER = {
    "login": str,
    "id": int,
    "node_id": str,
    "avatar_url": str,
    "gravatar_id": str,
    "url": str,
    "html_url": str,
    "events_url": str,
    "repos_url": str,
    "type": str,
    "site_admin": bool,
}
REPOSITORY = {
    "id": int,
    "name": str,
    "full_name": str,
    "private": bool,
    "fork": bool,
    "owner": USER,
    "url": str,
    "description": NoneType,
    "statuses_url": str,
    "html_url": str,
    "default_branch": str,
}
SIMPLE_STATUS = {
    "url": str,
    "avatar_url": TEXT_OR_NULL,
    "id": int,
    "node_id": str,
    "state": str,
    "description": TEXT_OR_NULL,
    "target_url": TEXT_OR_NULL,
    "context": str,
    "created_at": str,
    "updated_at": str,
}
STATUS = {**SIMPLE_STATUS, "creator": USER}
COMBINED_STATUS = {
    "state": str,
    "statuses": [SIMPLE_STATUS],
    "sha": str,
    "total_count": int,
    "repository": REPOSITORY,
    "commit_url": str,
    "url": str,
}
SIGNATURE = {"name": str, "email": str, "date": str}
COMMIT = {
    "url": str,
    "sha": str,
    "node_id": str,
    "html_url": str,
    "comments_url": str,
    "commit": {
        "url": str,
        "author": SIGNATURE,
        "committer": SIGNATURE,
        "message": str,
        "comment_count": int,
        "tree": {"sha": str, "url": str},
        "verification": {
            "verified": bool,
            "reason": str,
            "signature": TEXT_OR_NULL,
            "payload": TEXT_OR_NULL,
            "verified_at": TEXT_OR_NULL,
        },
    },
    "author": (dict, NoneType),
    "committer": (dict, NoneType),
    "parents": [{"sha": str, "url": str, "html_url": str}],
}
BRANCH = {
    "name": str,
    "commit": COMMIT,
    "_links": {"self": str, "html": str},
    "protected": bool,
    "protection": dict,
    "protection_url": str,
}
COMPARISON = {
    "url": str,
    "html_url": str,
    "permalink_url": str,
    "diff_url": str,
    "patch_url": str,
    "base_commit": COMMIT,
    "merge_base_commit": COMMIT,
    "status": str,
    "ahead_by": int,
    "behind_by": int,
    "total_commits": int,
    "commits": [COMMIT],
}
APP = {
    "id": int,
    "node_id": str,
    "owner": USER,
    "name": str,
    "description": TEXT_OR_NULL,
    "external_url": str,
    "html_url": str,
    "created_at": str,
    "updated_at": str,
    "permissions": dict,
    "events": list,
}
CHECK_RUN = {
    "id": int,
    "head_sha": str,
    "node_id": str,
    "external_id": str,
    "url": str,
    "html_url": str,
    "details_url": str,
    "status": str,
    "conclusion": TEXT_OR_NULL,
    "started_at": str,
    "completed_at": TEXT_OR_NULL,
    "output": {
        "title": TEXT_OR_NULL,
        "summary": TEXT_OR_NULL,
        "text": TEXT_OR_NULL,
        "annotations_count": int,
        "annotations_url": str,
    },
    "name": str,
    "check_suite": {"id": int},
    "app": APP,
    "pull_requests": list,
}
CHECK_SUITE = {
    "id": int,
    "node_id": str,
    "head_branch": TEXT_OR_NULL,
    "head_sha": str,
    "status": str,
    "conclusion": TEXT_OR_NULL,
    "url": str,
    "before": TEXT_OR_NULL,
    "after": TEXT_OR_NULL,
    "pull_requests": list,
    "app": APP,
    "created_at": str,
    "updated_at": str,
}
STATUS_EVENT = {
    "id": int,
    "sha": str,
    "name": str,
    "target_url": TEXT_OR_NULL,
    "context": str,
    "description": TEXT_OR_NULL,
    "state": str,
    "commit": COMMIT,
    "branches": [{"name": str, "commit": {"sha": str, "url": str}, "protected": bool}],
    "created_at": str,
    "updated_at": str,
    "repository": REPOSITORY,
    "sender": USER,
}
CHECK_RUN_EVENT = {
    "action": str,
    "check_run": {**CHECK_RUN, "check_suite": CHECK_SUITE},
    "repository": REPOSITORY,
    "sender": USER,
}
PERSON = {"name": str, "email": str}
GIT_OBJECT = {"type": str, "sha": str, "url": str}
GIT_REF = {"ref": str, "node_id": str, "url": str, "object": GIT_OBJECT}
GIT_TAG = {
    "node_id": str,
    "tag": str,
    "sha": str,
    "url": str,
    "message": str,
    "tagger": SIGNATURE,
    "object": GIT_OBJECT,
    "verification": {
        "verified": bool,
        "reason": str,
        "signature": TEXT_OR_NULL,
        "payload": TEXT_OR_NULL,
    },
}
RELEASE = {
    "url": str,
    "html_url": str,
    "assets_url": str,
    "upload_url": str,
    "tarball_url": TEXT_OR_NULL,
    "zipball_url": TEXT_OR_NULL,
    "id": int,
    "node_id": str,
    "tag_name": str,
    "target_commitish": str,
    "name": TEXT_OR_NULL,
    "draft": bool,
    "prerelease": bool,
    "created_at": str,
    "published_at": TEXT_OR_NULL,
    "author": USER,
    "assets": list,
}
RELEASE_EVENT = {"action": str, "release": RELEASE, "repository": REPOSITORY, "sender": USER}
CHECK_SUITE_EVENT = {
    "action": str,
    "check_suite": {
        **CHECK_SUITE,
        "latest_check_runs_count": int,
        "check_runs_url": str,
        "head_commit": {
            "id": str,
            "tree_id": str,
            "message": str,
            "timestamp": str,
            "author": PERSON,
            "committer": PERSON,
        },
    },
    "repository": REPOSITORY,
    "sender": USER,
}

DEPLOYMENT = {
    "url": str,
    "id": int,
    "node_id": str,
    "sha": str,
    "ref": str,
    "task": str,
    "payload": (dict, str),
    "original_environment": str,
    "environment": str,
    "description": TEXT_OR_NULL,
    "creator": USER,
    "created_at": str,
    "updated_at": str,
    "statuses_url": str,
    "repository_url": str,
}
DEPLOYMENT_EVENT = {
    "action": str,
    "deployment": DEPLOYMENT,
    "workflow": NoneType,
    "workflow_run": NoneType,
    "repository": REPOSITORY,
    "sender": USER,
}
DEPLOYMENT_STATUS_EVENT = {
    **DEPLOYMENT_EVENT,
    "check_run": NoneType,
    "deployment_status": {
        "url": str,
        "id": int,
        "node_id": str,
        "state": str,
        "creator": USER,
        "description": str,
        "environment": str,
        "target_url": str,
        "created_at": str,
        "updated_at": str,
        "deployment_url": str,
        "repository_url": str,
    },
}


def check_shape(value: object, shape: object, place: str = "") -> None:
    """A shape is a type, several types, a list's one shape, or an object's shapes by field."""
    if isinstance(shape, Mapping):
        assert isinstance(value, Mapping), f"{place} is no object: {value!r}"
        missing = shape.keys() - value.keys()
        assert not missing, f"{place} has no {sorted(missing)}"
        for name, inner in shape.items():
            check_shape(value[name], inner, f"{place}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{place} is no array: {value!r}"
        for number, one in enumerate(value):
            check_shape(one, shape[0], f"{place}[{number}]")
    else:
        types = shape if isinstance(shape, tuple) else (shape,)
        assert type(value) in types, f"{place} is {value!r}"
