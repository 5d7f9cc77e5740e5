"""What a round reads of a repository on GitHub: branches, tags, and its webhooks' deliveries.

Source: GitHub's pages "REST API endpoints for branches", "... for commits", "... for Git
references", "... for Git tags", "... for releases" and "... for repository webhooks".
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from chalicelib.core.refs import Branch, CommitSha, RefError, Repository
from chalicelib.core.tags import TAG_PREFIX, TaggedCommit, TagGlob, highest_first
from chalicelib.core.webhook import FailedDelivery
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github import (
    PER_PAGE,
    GitHub,
    RepositoryDeployments,
    listed,
    query,
    readable,
    text_of,
)
from chalicelib.edges.github_api import GoneError, unreadable

_WEBHOOK_PATH = "/github"  # how Pulley's address ends, behind any stage of API Gateway
MOST_TAGS = 5  # each annotated one costs a request
MOST_TRIED = 20  # of these, some may point at no commit
DEEPEST_TAG = 3  # a tag of a tag of a tag
_MAY_LEAD_TO_COMMIT = frozenset({"commit", "tag"})
_LONGEST_SUBJECT = 200  # characters
_LONGEST_STATUS = 100  # characters of GitHub's status of a delivery


def reading(
    github: GitHub, seconds: float = float("inf")
) -> Callable[[Repository, str], "RepositoryReading"]:
    """A function that takes a repository and its token; no request begins after the seconds."""

    def read(repository: Repository, token: str) -> RepositoryReading:
        deadline = Deadline(who="GitHub")
        deadline.restart(seconds)
        return read_until(github, deadline, repository, token)

    return read


def read_until(
    github: GitHub, deadline: Deadline, repository: Repository, token: str
) -> "RepositoryReading":
    """A repository; no request begins after the deadline."""
    found = github.of(repository, token, deadline)
    if isinstance(found, RepositoryReading):  # of Gitea or Forgejo
        return found
    return RepositoryReading(github, repository, token, deadline)


class RepositoryReading(RepositoryDeployments):
    """One repository. Every method raises NotTakenError or UnavailableError."""

    def head(self, branch: Branch) -> CommitSha | None:
        """The branch's tip; None if the branch does not exist, or not for this token."""
        try:
            answer = self._call("GET", f"/branches/{quote(branch.name, safe='')}")
        except GoneError:
            return None
        try:
            # GitHub redirects from a renamed branch to the new name, which nobody asked for.
            name, tip = answer["name"], answer["commit"]
            commit = CommitSha.parse(tip["sha"] if "sha" in tip else tip["id"])  # "id": Gitea's
        except (KeyError, TypeError, RefError):
            raise unreadable("no branch in it") from None
        return commit if name == branch.name else None

    def commits(self, branch: Branch) -> Sequence[CommitSha]:
        """The branch's newest commits, newest first; empty if there is no such branch.

        Only first parents: of a merge, not the commits that it brought. At most one page is read.
        """
        tip = self.head(branch)
        if tip is None:
            return []
        answer = self._call("GET", self.commits_path(tip))
        parents = dict(readable(answer, with_parent))
        chain, commit = [], tip.sha
        while commit in parents:
            chain.append(CommitSha(commit))
            commit = parents.pop(commit)
        if not chain:
            raise unreadable("the branch's tip is not among its commits")
        return chain

    def subjects(self, tip: CommitSha) -> Mapping[str, str]:
        """The first lines of a commit's message and of those before it, by SHA: a page of them."""
        return dict(readable(self._call("GET", self.commits_path(tip)), _subject))

    def commits_path(self, tip: CommitSha) -> str:
        """The path of the commits up to a tip."""
        return f"/commits?{query(sha=tip.sha, per_page=PER_PAGE)}"

    def has_checks(self, commit: CommitSha) -> bool:
        """Whether the commit has any check run or status.

        Needs the permissions Checks: read and Commit statuses: read.
        """
        for path in ("check-runs", "status"):
            answer = self._call("GET", f"/commits/{commit.sha}/{path}?per_page=1")
            count = answer.get("total_count") if isinstance(answer, dict) else None
            if type(count) is not int:
                raise unreadable("no count of checks in it")
            if count:
                return True
        return False

    def tags(self, glob: TagGlob, *, releases: bool) -> Sequence[TaggedCommit]:
        """The highest MOST_TAGS tags that fit and point at a commit, the highest first.

        Tags of trees and blobs are passed over. What an annotated tag points at costs a request, so
        MOST_TRIED tags are tried at most.

        With `releases`, only those of published releases that are no pre-releases, among the newest
        hundred releases. GitHub answers with all tags of a prefix at once, without pages: about
        10,000 of them fit into an answer that is read (github_api.MAX_ANSWER_BYTES).
        """
        prefix = f"tags/{quote(glob.prefix)}" if glob.prefix else "tags"
        answer = self._call("GET", f"/git/matching-refs/{prefix}")
        found = {name: one for name, one in readable(answer, _tag) if glob.fits(name)}
        if releases and found:
            published = self._call("GET", f"/releases?per_page={PER_PAGE}")
            found = {one: found[one] for one in readable(published, published_tag) if one in found}
        tagged: list[TaggedCommit] = []
        leading = [name for name in highest_first(found) if found[name][0] in _MAY_LEAD_TO_COMMIT]
        for name in leading[:MOST_TRIED]:
            if len(tagged) == MOST_TAGS:
                break
            commit = self._peel(*found[name])
            if commit:
                tagged.append(TaggedCommit(name, commit))
        return tagged

    def _peel(self, kind: str, sha: str) -> CommitSha | None:
        """The commit that a tag's object leads to; None if it leads to something else."""
        for _ in range(DEEPEST_TAG):
            if kind != "tag":
                break
            try:
                kind, sha = _target_of(self._call("GET", f"/git/tags/{sha}"))
            except (KeyError, TypeError, RefError):
                raise unreadable("no tag in it") from None
        return CommitSha(sha) if kind == "commit" else None

    def committed_at(self, commit: CommitSha) -> datetime:
        """The commit's committer date (aware)."""
        answer = self._call("GET", f"/commits?{query(sha=commit.sha, per_page=1)}")
        try:
            at = datetime.fromisoformat(answer[0]["commit"]["committer"]["date"])
        except (LookupError, TypeError, ValueError):
            raise unreadable("no commit in it") from None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def merge_base(self, one: CommitSha, other: CommitSha) -> CommitSha | None:
        """The newest commit that two commits have in their history; None if GitHub knows none.

        GitHub may have forgotten a commit that no branch has any more.
        """
        try:
            answer = self._call("GET", f"/compare/{one.sha}...{other.sha}?per_page=1")
        except GoneError:
            return None
        try:
            return CommitSha.parse(answer["merge_base_commit"]["sha"])
        except (KeyError, TypeError, RefError):
            raise unreadable("no merge base in it") from None

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        """The deliveries that failed at this time (aware) or later, in each of their attempts.

        Reads the newest hundred of each webhook whose address ends in `/github`, of any stage.
        """
        hooks = listed(self._call("GET", "/hooks?per_page=100"))  # GitHub allows 20 for an event
        return [
            lost
            for hook in hooks
            if _is_pulleys(hook)
            for lost in lost_deliveries(self.attempts(hook["id"]), since)
        ]

    def attempts(self, hook_id: int) -> Sequence[FailedDelivery]:
        """A webhook's newest hundred deliveries, failed or not; empty if it was deleted."""
        try:
            answer = self._call("GET", f"/hooks/{hook_id}/deliveries?per_page=100")
        except GoneError:
            return []
        return readable(answer, _attempt)


def _tag(one: Any) -> tuple[str, tuple[str, str]] | None:  # noqa: ANN401 - JSON
    """A tag's short name, and the kind and the SHA of its object; None for another ref."""
    ref = text_of(one["ref"])
    return (ref.removeprefix(TAG_PREFIX), _target_of(one)) if ref.startswith(TAG_PREFIX) else None


def _target_of(one: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON
    target = one["object"]
    return text_of(target["type"]), CommitSha.parse(target["sha"]).sha


def published_tag(one: Any) -> str | None:  # noqa: ANN401 - JSON
    """The tag of a published release; None for a draft or a pre-release."""
    return None if one["draft"] or one["prerelease"] else text_of(one["tag_name"])


def with_parent(one: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON
    """A commit's SHA and its first parent's, or ""."""
    parents = one["parents"]
    return CommitSha.parse(one["sha"]).sha, text_of(parents[0]["sha"]) if parents else ""


def _subject(one: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON
    lines = text_of(one["commit"]["message"]).strip().splitlines()
    return CommitSha.parse(one["sha"]).sha, lines[0][:_LONGEST_SUBJECT] if lines else ""


def _is_pulleys(hook: Any) -> bool:  # noqa: ANN401 - JSON
    try:
        path = urlsplit(hook["config"]["url"]).path
        return type(hook["id"]) is int and path.endswith(_WEBHOOK_PATH)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _attempt(one: Any) -> FailedDelivery | None:  # noqa: ANN401 - JSON
    at = datetime.fromisoformat(one["delivered_at"])
    id_, code = one["guid"], one["status_code"]
    if not isinstance(id_, str) or type(code) is not int or at.tzinfo is None:
        return None
    status = text_of(one.get("status"))[:_LONGEST_STATUS]
    return FailedDelivery(id_, text_of(one.get("event")), at, status, code)


def lost_deliveries(attempts: Sequence[FailedDelivery], since: datetime) -> list[FailedDelivery]:
    """The newest attempt of each delivery whose attempts all failed, oldest first."""
    taken = {one.id for one in attempts if 200 <= one.status_code < 300}
    newest = {one.id: one for one in sorted(attempts, key=lambda one: one.delivered_at)}
    return [one for one in newest.values() if one.id not in taken and one.delivered_at >= since]
