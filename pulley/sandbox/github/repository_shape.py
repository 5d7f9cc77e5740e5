"""A repository as GitHub's JSON shows it: `full-repository` in its OpenAPI description."""

from collections.abc import Mapping

from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.people import Shape, node_id, show_user

_MADE = "2026-01-02T03:04:05Z"
_ROLES = ("admin", "maintain", "push", "triage", "pull")
# What follows a repository's address in each field. GitHub writes some as templates.
_URLS: Mapping[str, str] = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_UNUSED = ("description", "homepage", "language", "license", "mirror_url")
_FEATURES = ("has_issues", "has_projects", "has_wiki", "has_pages", "has_discussions")
_COUNTS = ("forks", "open_issues", "watchers")
_FURTHER_COUNTS = ("stargazers_count", "network_count", "subscribers_count", "size")


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
        "owner": show_user(owner, repository.id, "Organization"),
        "html_url": page_of(repository),
        "url": url,
        "fork": False,
        **{field: f"{url}{path}" for field, path in _URLS.items()},
        "visibility": "private",
        "clone_url": f"{page_of(repository)}.git",
        "git_url": f"git://github.com/{repository.full_name}.git",
        "ssh_url": f"git@github.com:{repository.full_name}.git",
        "svn_url": page_of(repository),
        "default_branch": repository.commits.default_branch,
        "archived": False,
        "disabled": False,
        **dict.fromkeys(_UNUSED),
        **dict.fromkeys(_FEATURES, False),
        **dict.fromkeys((*_COUNTS, *(f"{one}_count" for one in _COUNTS), *_FURTHER_COUNTS), 0),
        **dict.fromkeys(("created_at", "pushed_at", "updated_at"), _MADE),
        # The user's permissions; a header says what the token may do.
        "permissions": dict.fromkeys(_ROLES, True),
    }
