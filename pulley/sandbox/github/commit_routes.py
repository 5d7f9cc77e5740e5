"""GitHub's API for commits: lists, and comparisons.

From GitHub's page "REST API endpoints for commits". A comparison has no `files`.
"""

from collections.abc import Sequence

from werkzeug.wrappers import Response

from pulley.sandbox.github.call import Call, Route, respond, respond_page
from pulley.sandbox.github.errors import GitHubError
from pulley.sandbox.github.repository_shape import page_of
from pulley.sandbox.github.shapes import show_commit

_SHOWN = 250  # commits in a comparison


def list_commits(call: Call) -> Response:
    """The commits of a branch or from a commit on, newest first, as `git log` shows them."""
    commits = call.repository.commits
    sha = commits.resolve_or_404(call.http.args.get("sha") or commits.default_branch)
    everything = [show_commit(call.repository, call.url, one) for one in commits.log(sha)]
    return respond_page(call, everything)


def compare_commits(call: Call, both: str) -> Response:
    """How the head relates to the base; the commits that only the head has, oldest first."""
    base, dots, head = both.partition("...")
    if not dots:
        raise GitHubError(404, "Not Found")
    found = call.repository.commits.compare(base, head)
    page = f"{page_of(call.repository)}/compare/{both}"
    oldest_first = [show_commit(call.repository, call.url, one) for one in reversed(found.commits)]

    def wrap(commits: Sequence[object]) -> object:
        return {
            "url": f"{call.url}/compare/{both}",
            "html_url": page,
            "permalink_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "base_commit": show_commit(call.repository, call.url, found.base),
            "merge_base_commit": show_commit(call.repository, call.url, found.merge_base),
            "status": found.status,
            "ahead_by": len(found.commits),
            "behind_by": found.behind_by,
            "total_commits": len(found.commits),
            "commits": commits,
        }

    if not {"page", "per_page"} & set(call.http.args):
        return respond(wrap(oldest_first[:_SHOWN]))
    return respond_page(call, oldest_first, wrap)


ROUTES = (
    Route("GET", "/commits", "contents=read", list_commits),
    Route("GET", "/compare/<path:both>", "contents=read", compare_commits),
)
