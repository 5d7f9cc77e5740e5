"""What GitHub reads from git: refs, commits, and how two commits relate.

Git itself says which refs exist and in which order commits come.
"""

import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pulley.sandbox.github.errors import GitHubError

_SHA = "[0-9a-f]{40}"
_FIELDS = ("%H", "%T", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", "%B")


@dataclass(frozen=True)
class Signature:
    """Who wrote or made a commit, and when."""

    name: str
    email: str
    date: datetime


@dataclass(frozen=True)
class GitCommit:
    """A commit as git has it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str


@dataclass(frozen=True)
class GitTag:
    """The object of an annotated tag. `kind` is that of the object that it points at."""

    sha: str
    object: str
    kind: str
    tag: str
    message: str
    tagger: Signature | None


@dataclass(frozen=True)
class Comparison:
    """How the head relates to the base. `commits` are those of the head alone, newest first."""

    base: GitCommit
    merge_base: GitCommit
    commits: tuple[GitCommit, ...]
    behind_by: int

    @property
    def status(self) -> str:
        """GitHub's word."""
        if self.commits:
            return "diverged" if self.behind_by else "ahead"
        return "behind" if self.behind_by else "identical"


class Commits:
    """A bare repository, read with git."""

    def __init__(self, path: Path) -> None:
        """`path` is the bare repository's."""
        self._path = path

    @property
    def default_branch(self) -> str:
        """The default branch: git's HEAD."""
        return self._git("symbolic-ref", "--short", "HEAD") or ""

    def branch_commit(self, branch: str) -> str:
        """Return the commit of the branch. Raises GitHubError if there is no such branch."""
        commit = self._commit_of_ref(f"refs/heads/{branch}")
        if commit is None:
            raise GitHubError(404, "Branch not found")
        return commit

    def resolve(self, ref: str) -> str | None:
        """The commit of a branch, a tag, a full ref or a full SHA."""
        if re.fullmatch(_SHA, ref):
            return self._commit(ref)
        names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        return next(filter(None, map(self._commit_of_ref, names)), None)

    def resolve_or_404(self, ref: str) -> str:
        """The same, but raises GitHubError if git does not know the ref."""
        commit = self.resolve(ref)
        if commit is None:
            raise GitHubError(404, "Not Found")
        return commit

    def resolve_or_422(self, ref: str) -> str:
        """The same, with the answer of the paths for check runs."""
        commit = self.resolve(ref)
        if commit is None:
            raise GitHubError(422, f"No commit found for SHA: {ref}")
        return commit

    def find_sha(self, sha: str) -> str:
        """Return the SHA if it is a commit's. No branch's name will do. Raises GitHubError."""
        if not re.fullmatch(_SHA, sha):
            raise GitHubError(422, f"No commit found for SHA: {sha}")
        return self.resolve_or_422(sha)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Whether the ancestor is in the commit's history. A commit contains itself."""
        return self._git("merge-base", "--is-ancestor", ancestor, commit) is not None

    def refs_from(self, prefix: str) -> list[tuple[str, str, str]]:
        """The refs whose full names begin so, by name, each with its object and the object's kind.

        A ref need not point at a commit.
        """
        shown = self._git("for-each-ref", "--format=%(objectname) %(objecttype) %(refname)")
        lines = (line.split(" ", 2) for line in (shown or "").split("\n") if line)
        return [(ref, sha, kind) for sha, kind, ref in lines if ref.startswith(prefix)]

    def find_tag(self, sha: str) -> GitTag | None:
        """A tag object; None if git has none with this SHA."""
        text = self._git("cat-file", "tag", sha) if re.fullmatch(_SHA, sha) else None
        if text is None:
            return None
        head, _, message = text.partition("\n\n")
        fields = dict(line.split(" ", 1) for line in head.split("\n"))
        return GitTag(
            sha=sha,
            object=fields["object"],
            kind=fields["type"],
            tag=fields["tag"],
            message=message,
            tagger=_parse_signature(fields["tagger"]) if "tagger" in fields else None,
        )

    def has_tag(self, name: str) -> bool:
        """Whether there is a tag of this name."""
        return self._git("show-ref", "--verify", "--", f"refs/tags/{name}") is not None

    def make_tag(self, name: str, commit: str) -> bool:
        """Make a lightweight tag; False if git does not take the name."""
        if self._git("check-ref-format", f"refs/tags/{name}") is None:
            return False
        return self._git("update-ref", f"refs/tags/{name}", commit, "") is not None

    def branches_with(self, commit: str) -> list[tuple[str, str]]:
        """The branches whose history has the commit, with their tips, by name."""
        shown = self._git(
            "for-each-ref",
            "--format=%(objectname) %(refname:lstrip=2)",
            f"--contains={commit}",
            "refs/heads",
        )
        pairs = (line.partition(" ") for line in (shown or "").split("\n") if line)
        return [(name, tip) for tip, _, name in pairs]

    def log(self, *revisions: str) -> list[GitCommit]:
        """What `git log` shows of them, newest first."""
        shown = self._git("log", "-z", f"--format={'%x00'.join(_FIELDS)}", *revisions, "--")
        fields = (shown or "").split("\0")[:-1]
        size = len(_FIELDS)
        return [
            _parse_commit(fields[start : start + size]) for start in range(0, len(fields), size)
        ]

    def find(self, commit: str) -> GitCommit:
        """One commit, which must exist."""
        (found,) = self.log("-1", commit)
        return found

    def compare(self, base: str, head: str) -> Comparison:
        """Compare two refs. Raises GitHubError if git does not know them, or nothing joins them."""
        before, after = self.resolve_or_404(base), self.resolve_or_404(head)
        merge_base = self._git("merge-base", before, after)
        if not merge_base:
            raise GitHubError(404, f"No common ancestor between {base} and {head}.")
        return Comparison(
            base=self.find(before),
            merge_base=self.find(merge_base.split("\n")[0]),
            commits=tuple(self.log(f"{before}..{after}")),
            behind_by=len(self.log(f"{after}..{before}")),
        )

    def _commit_of_ref(self, name: str) -> str | None:
        # Not rev-parse, which would accept `main~1` as a branch too.
        found = self._git("show-ref", "--verify", "--hash", "--", name)
        return self._commit(found) if found else None

    def _commit(self, sha: str) -> str | None:
        return self._git("rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}")

    def _git(self, *arguments: str) -> str | None:
        """What git prints, or None if it fails."""
        try:
            done = subprocess.run(
                ["git", "--git-dir", str(self._path), *arguments], capture_output=True, check=True
            )
        except (subprocess.CalledProcessError, ValueError):
            return None  # ValueError: a NUL or half a surrogate pair, which no ref contains
        return done.stdout.decode(errors="replace").rstrip("\n")


def _parse_commit(fields: list[str]) -> GitCommit:
    sha, tree, parents, author, author_email, authored, committer, email, committed, message = (
        fields
    )
    return GitCommit(
        sha=sha,
        tree=tree,
        parents=tuple(parents.split()),
        author=Signature(author, author_email, datetime.fromisoformat(authored)),
        committer=Signature(committer, email, datetime.fromisoformat(committed)),
        message=message.rstrip("\n"),
    )


def _parse_signature(text: str) -> Signature:
    """A line of git's like `name <email> 1700000000 +0100`."""
    name, _, rest = text.partition(" <")
    email, _, moment = rest.partition("> ")
    seconds, _, zone = moment.partition(" ")
    offset = datetime.strptime(zone, "%z").tzinfo
    return Signature(name, email, datetime.fromtimestamp(int(seconds), offset))
