"""A repository's releases: checked as GitHub checks them, and kept.

From GitHub's page "REST API endpoints for releases". A published release has a tag: if git has none
of the name, GitHub makes one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pulley.sandbox.github.commits import Commits
from pulley.sandbox.github.errors import GitHubError, check_fields

_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("tag_name", "target_commitish", "name", "body"), (str,)),
    **dict.fromkeys(("draft", "prerelease"), (bool,)),
}


@dataclass(frozen=True)
class Release:
    """A release. A draft has no `published_at`."""

    id: int
    tag_name: str
    target_commitish: str
    name: str
    body: str
    draft: bool
    prerelease: bool
    created_at: datetime
    published_at: datetime | None


class Releases:
    """A repository's releases."""

    def __init__(self, commits: Commits, ids: Iterator[int]) -> None:
        """`ids` is shared, because ids are unique in all of GitHub."""
        self._commits, self._ids = commits, ids
        self._releases: dict[int, Release] = {}

    def newest_first(self) -> list[Release]:
        """All releases, drafts too."""
        return list(self._releases.values())[::-1]

    def find(self, release_id: int) -> Release:
        """Return the release. Raises GitHubError if this repository does not have it."""
        if release_id not in self._releases:
            raise GitHubError(404, "Not Found")
        return self._releases[release_id]

    def create(self, body: Mapping[str, Any]) -> Release:
        """Create a release, and its tag if need be. Raises GitHubError: 422."""
        fields = check_fields(body, _KINDS, "Release", required=["tag_name"])
        release = Release(
            id=next(self._ids),
            tag_name=fields["tag_name"],
            target_commitish=fields.get("target_commitish") or self._commits.default_branch,
            name=fields.get("name", ""),
            body=fields.get("body", ""),
            draft=fields.get("draft", False),
            prerelease=fields.get("prerelease", False),
            created_at=datetime.now(UTC),
            published_at=None,
        )
        return self._keep(release)

    def update(self, release_id: int, body: Mapping[str, Any]) -> Release:
        """Change a release; without `draft` a draft is published. Raises GitHubError."""
        return self._keep(replace(self.find(release_id), **check_fields(body, _KINDS, "Release")))

    def _keep(self, release: Release) -> Release:
        if not release.draft:
            self._check_tag(release)
            release = replace(release, published_at=release.published_at or datetime.now(UTC))
        self._releases[release.id] = release
        return release

    def _check_tag(self, release: Release) -> None:
        """Make the tag if there is none. Raises GitHubError if another release has it."""
        name = release.tag_name
        others = [one for one in self._releases.values() if one.id != release.id and not one.draft]
        if name in {one.tag_name for one in others}:
            taken = {"resource": "Release", "code": "already_exists", "field": "tag_name"}
            raise GitHubError(422, "Validation Failed", taken)
        if self._commits.has_tag(name):
            return
        target = self._commits.resolve(release.target_commitish)
        if target is None or not self._commits.make_tag(name, target):
            what = "target_commitish" if target is None else "tag_name"
            wrong = {"resource": "Release", "code": "invalid", "field": what}
            raise GitHubError(422, "Validation Failed", wrong)
