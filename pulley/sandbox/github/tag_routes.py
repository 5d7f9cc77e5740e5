"""GitHub's API for refs, tag objects and releases.

From GitHub's pages "REST API endpoints for Git references", "... for Git tags" and "... for
releases". Left out: a release's assets and reactions.
"""

from werkzeug.wrappers import Response

from pulley.sandbox.github.call import Call, Route, respond, respond_page
from pulley.sandbox.github.errors import GitHubError
from pulley.sandbox.github.release_events import release_events
from pulley.sandbox.github.shapes import show_ref, show_release, show_tag


def list_matching_refs(call: Call, ref: str) -> Response:
    """The refs whose names begin so, by name: all of them, without pages."""
    refs = call.repository.commits.refs_from(f"refs/{ref}")
    return respond([show_ref(call.url, *one) for one in refs])


def get_tag(call: Call, sha: str) -> Response:
    """A tag object, which only an annotated tag has."""
    tag = call.repository.commits.find_tag(sha)
    if tag is None:
        raise GitHubError(404, "Not Found")
    return respond(show_tag(call.url, tag))


def list_releases(call: Call) -> Response:
    """The releases, newest first. Drafts are for those who may write."""
    sees_drafts = call.permissions.get("contents") == "write"
    found = call.repository.releases.newest_first()
    shown = [show_release(call.repository, call.url, one) for one in found]
    return respond_page(call, [one for one in shown if sees_drafts or not one["draft"]])


def create_release(call: Call) -> Response:
    """Create a release, and tell the webhooks. 201 with the release."""
    release = call.repository.releases.create(call.body())
    events = release_events(call.repository, call.url, release, None)
    call.tell_webhooks(events)
    return respond(show_release(call.repository, call.url, release), 201)


def update_release(call: Call, release_id: int) -> Response:
    """Change a release, such as a draft that is published, and tell the webhooks."""
    before = call.repository.releases.find(release_id)
    release = call.repository.releases.update(release_id, call.body())
    events = release_events(call.repository, call.url, release, before)
    call.tell_webhooks(events)
    return respond(show_release(call.repository, call.url, release))


ROUTES = (
    Route("GET", "/git/matching-refs/<path:ref>", "contents=read", list_matching_refs),
    Route("GET", "/git/tags/<sha>", "contents=read", get_tag),
    Route("GET", "/releases", "contents=read", list_releases),
    Route("POST", "/releases", "contents=write", create_release),
    Route("PATCH", "/releases/<int:release_id>", "contents=write", update_release),
)
