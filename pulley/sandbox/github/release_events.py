"""The `release` event. From GitHub's page "Webhook events and payloads"."""

from pulley.sandbox.github.check_events import Event, make_event
from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.people import Shape
from pulley.sandbox.github.releases import Release
from pulley.sandbox.github.shapes import show_release


def release_events(
    repository: HostedRepository, url: str, release: Release, before: Release | None
) -> list[Event]:
    """A release was created, or changed from what it was before.

    `created` is of a release that was no draft before; `published` of each release and pre-release;
    `released` of those that are no pre-releases, also if they were one.
    """
    was_published = before is not None and not before.draft
    actions = []
    if before is None:
        actions.append("created")
    if not release.draft and not was_published:
        actions.append("published")
    if not release.draft and not (
        before and was_published and before.prerelease == release.prerelease
    ):
        actions.append("prereleased" if release.prerelease else "released")
    if before is not None:
        actions.append("edited")
    payload: Shape = {"release": show_release(repository, url, release)}
    return [make_event("release", repository, url, payload, one) for one in actions]
