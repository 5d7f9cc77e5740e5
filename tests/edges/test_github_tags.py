"""A round reads a repository's tags from GitHub: the highest that fit, at their commits."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from subprocess import check_output

import pytest

from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.refs import CommitSha
from chalicelib.core.tags import TaggedCommit, TagGlob
from chalicelib.edges.github import GitHub
from chalicelib.edges.github_reading import (
    DEEPEST_TAG,
    MOST_TAGS,
    MOST_TRIED,
    RepositoryReading,
    reading,
)
from pulley.sandbox.github.server import GitHubServer as SandboxGitHub
from tests.edges.scripted_server import Raw, ScriptedServer, answer
from tests.fakes import SITE, TOKEN, FakeClock

pytestmark = pytest.mark.timeout(30)

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
REPOSITORY = "/repos/octo/site"
MATCHING = f"{REPOSITORY}/git/matching-refs"
RELEASES = f"{REPOSITORY}/releases?per_page=100"
ALL = TagGlob("v*")


def shown_ref(name: str, sha: object = A, kind: object = "commit") -> dict[str, object]:
    """A ref as GitHub's page "REST API endpoints for Git references" shows it."""
    return {
        "ref": f"refs/tags/{name}",
        "node_id": "x",
        "url": "https://x.example",
        "object": {"type": kind, "sha": sha, "url": "https://x.example"},
    }


def shown_release(tag: object, **changes: object) -> dict[str, object]:
    """A release as GitHub's page "REST API endpoints for releases" shows it, with fewer fields."""
    return {"id": 1, "tag_name": tag, "draft": False, "prerelease": False} | changes


class Api:
    """A server that answers by path, and the edge that sends requests to it."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.by_path: dict[str, Raw] = {}
        missing = answer({"message": "Not Found"}, 404)
        server.script = lambda request: self.by_path.get(request.target, missing)
        self.github = GitHub(server.url, FakeClock())

    def has(self, path: str, content: object) -> None:
        self.by_path[path] = answer(content)

    def has_refs(self, *refs: object, prefix: str = "tags/v") -> None:
        self.has(f"{MATCHING}/{prefix}", list(refs))

    def has_tag_object(self, sha: str, target: str, kind: str = "commit") -> None:
        self.has(f"{REPOSITORY}/git/tags/{sha}", {"object": {"type": kind, "sha": target}})

    def tags(self, glob: TagGlob = ALL, *, releases: bool = False) -> Sequence[TaggedCommit]:
        return reading(self.github)(SITE, TOKEN).tags(glob, releases=releases)

    @property
    def paths(self) -> list[str]:
        return [one.target for one in self.server.requests]


@pytest.fixture
def api() -> Iterator[Api]:
    with ScriptedServer(lambda _request: answer({}, 404)) as server:
        api = Api(server)
        yield api
        api.github._pool.clear()


def at(*tagged: tuple[str, str]) -> list[TaggedCommit]:
    return [TaggedCommit(tag, CommitSha(sha)) for tag, sha in tagged]


class TestTags:
    def test_tags_that_fit_come_highest_first(self, api: Api) -> None:
        api.has_refs(shown_ref("v1.9"), shown_ref("v1.10", B), shown_ref("v1.10-rc.1", C))
        assert api.tags() == at(("v1.10", B), ("v1.10-rc.1", C), ("v1.9", A))
        assert api.paths == [f"{MATCHING}/tags/v"]

    def test_without_tags_there_are_none(self, api: Api) -> None:
        api.has_refs()
        assert api.tags() == []
        assert api.tags(releases=True) == []
        assert RELEASES not in api.paths

    @pytest.mark.parametrize(
        ("pattern", "asked"),
        [
            ("*", "tags"),
            ("release/1.*", "tags/release/1."),
            ("a+b#%*", "tags/a%2Bb%23%25"),
            ("v1.2", "tags/v1.2"),
        ],
    )
    def test_what_the_pattern_begins_with_is_asked_for(
        self, api: Api, pattern: str, asked: str
    ) -> None:
        api.has(f"{MATCHING}/{asked}", [])
        assert api.tags(TagGlob.parse(pattern)) == []

    def test_refs_that_do_not_fit_are_left_out(self, api: Api) -> None:
        branch = shown_ref("x") | {"ref": "refs/heads/v9"}
        odd = shown_ref("x") | {"ref": "refs/tagsy/v9"}
        api.has_refs(shown_ref("v1.2.3"), shown_ref("v1"), branch, odd, shown_ref("v$(x)"))
        assert api.tags(TagGlob("v?.?.?")) == at(("v1.2.3", A))
        assert api.tags() == at(("v1.2.3", A), ("v1", A))

    def test_annotated_tag_leads_to_its_commit(self, api: Api) -> None:
        api.has_refs(shown_ref("v1", B, "tag"))
        api.has_tag_object(B, A)
        assert api.tags() == at(("v1", A))

    def test_nested_tags_are_followed_so_deep(self, api: Api) -> None:
        chain = [f"{number:040x}" for number in range(1, DEEPEST_TAG + 2)]
        for one, following in pairwise(chain):
            api.has_tag_object(one, following, "tag")
        api.has_tag_object(chain[-1], A)
        api.has_refs(shown_ref("v1", chain[0], "tag"), shown_ref("v2", chain[1], "tag"))
        assert api.tags() == at(("v2", A))  # v1 is a tag deeper

    @pytest.mark.parametrize("kind", ["tree", "blob"])
    def test_tag_of_anything_but_a_commit_is_left_out(self, api: Api, kind: str) -> None:
        api.has_refs(shown_ref("v3", B, kind), shown_ref("v2", C, "tag"), shown_ref("v1"))
        api.has_tag_object(C, B, kind)
        assert api.tags() == at(("v1", A))

    @pytest.mark.parametrize("kind", ["tree", "tag"])
    def test_tags_that_point_at_no_commit_do_not_hide_the_lower_ones(
        self, api: Api, kind: str
    ) -> None:
        odd = range(90, 90 + MOST_TAGS + 1)
        for number in odd:
            api.has_tag_object(f"{number:040x}", B, "tree")
        hiding = [shown_ref(f"v{number}", f"{number:040x}", kind) for number in odd]
        api.has_refs(shown_ref("v1", A), *hiding)
        assert api.tags() == at(("v1", A))

    def test_only_so_many_tags_of_no_commit_are_tried(self, api: Api) -> None:
        numbers = range(1, 2 * MOST_TRIED)
        for number in numbers:
            api.has_tag_object(f"{number:040x}", B, "tree")
        api.has_refs(*(shown_ref(f"v{number}", f"{number:040x}", "tag") for number in numbers))
        assert api.tags() == []
        assert len(api.paths) == 1 + MOST_TRIED

    def test_only_so_many_tag_objects_are_asked_for(self, api: Api) -> None:
        numbers = range(1, 3 * MOST_TAGS)
        for number in numbers:
            api.has_tag_object(f"{number:040x}", A)
        api.has_refs(*(shown_ref(f"v{number}", f"{number:040x}", "tag") for number in numbers))
        found = [one.tag for one in api.tags()]
        assert found == [f"v{number}" for number in reversed(numbers)][:MOST_TAGS]
        assert len(api.paths) == 1 + MOST_TAGS

    @pytest.mark.parametrize(
        "ref",
        [
            None,
            7,
            [],
            {},
            {"ref": "refs/tags/v2"},
            shown_ref("v2") | {"object": None},
            shown_ref("v2", None),
            shown_ref("v2", "0" * 40),
            shown_ref("v2", A[:7]),
            shown_ref("v2") | {"ref": None},
            shown_ref("v2", A, None),
        ],
    )
    def test_odd_refs_are_left_out(self, api: Api, ref: object) -> None:
        api.has_refs(ref, shown_ref("v1"))
        assert api.tags() == at(("v1", A))

    @pytest.mark.parametrize(
        "content", [None, [], {}, {"object": None}, {"object": {"type": "commit", "sha": "x"}}]
    )
    def test_odd_tag_object_is_unavailable(self, api: Api, content: object) -> None:
        api.has_refs(shown_ref("v1", B, "tag"))
        api.has(f"{REPOSITORY}/git/tags/{B}", content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            api.tags()

    @pytest.mark.parametrize("content", [None, {}, "x", {"message": "x"}])
    def test_answer_that_is_not_a_list_is_unavailable(self, api: Api, content: object) -> None:
        api.has(f"{MATCHING}/tags/v", content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            api.tags()

    def test_empty_repository_and_a_refused_token_are_not_taken(self, api: Api) -> None:
        path = f"{MATCHING}/tags/v"
        api.by_path[path] = answer({"message": "Git Repository is empty."}, 409)
        with pytest.raises(NotTakenError, match="is empty"):
            api.tags()
        api.by_path[path] = answer({"message": "Resource not accessible"}, 403)
        with pytest.raises(NotTakenError, match="Contents: read"):
            api.tags()


class TestReleases:
    def test_only_tags_of_published_releases_count(self, api: Api) -> None:
        api.has_refs(*(shown_ref(f"v{number}") for number in range(1, 7)))
        api.has(
            RELEASES,
            [
                shown_release("v5", draft=True),
                shown_release("v4", prerelease=True),
                shown_release("v2"),
                shown_release("v3"),
                shown_release("x9"),
                shown_release("v9"),  # its tag was deleted
            ],
        )
        assert api.tags(releases=True) == at(("v3", A), ("v2", A))

    def test_tag_of_several_releases_is_listed_once(self, api: Api) -> None:
        api.has_refs(shown_ref("v1"))
        api.has(RELEASES, [shown_release("v1", draft=True), shown_release("v1")])
        assert api.tags(releases=True) == at(("v1", A))

    def test_without_releases_there_is_none(self, api: Api) -> None:
        api.has_refs(shown_ref("v1"))
        api.has(RELEASES, [])
        assert api.tags(releases=True) == []

    @pytest.mark.parametrize(
        "release",
        [
            None,
            {},
            {"tag_name": "v2", "draft": False},
            {"tag_name": "v2", "prerelease": False},
            shown_release(None),
            shown_release(7),
            shown_release(["v2"]),
        ],
    )
    def test_odd_releases_are_left_out(self, api: Api, release: object) -> None:
        api.has_refs(shown_ref("v1"), shown_ref("v2"))
        api.has(RELEASES, [release, shown_release("v1")])
        assert api.tags(releases=True) == at(("v1", A))

    def test_refused_releases_are_not_taken(self, api: Api) -> None:
        api.has_refs(shown_ref("v1"))
        with pytest.raises(NotTakenError, match="Contents: read"):
            api.tags(releases=True)


class TestOnTheSandbox:
    @pytest.fixture
    def git(self, tmp_path: Path) -> list[str]:
        path = str(tmp_path / "site.git")
        check_output(["git", "init", "--quiet", "--bare", path])
        return ["git", "-C", path, "-c", "user.name=a", "-c", "user.email=a@b"]

    def test_tags_and_releases_of_the_git_repository_are_read(
        self, git: list[str], tmp_path: Path
    ) -> None:
        def run(*arguments: str) -> str:
            return check_output([*git, *arguments]).decode().strip()

        tree = run("hash-object", "-t", "tree", "-w", "/dev/null")
        one, two = (run("commit-tree", tree, "-m", text) for text in "xy")
        run("update-ref", "refs/heads/v9", two)
        run("tag", "v1.9", one)
        run("tag", "-a", "-m", "x", "v1.10", two)
        run("tag", "-a", "-m", "x", "v1.10.1", "v1.10")
        run("tag", "v2", tree)
        with SandboxGitHub({"octo/site": tmp_path / "site.git"}, token=TOKEN) as sandbox:
            github = GitHub(sandbox.api_url)
            reader: RepositoryReading = reading(github)(SITE, TOKEN)
            everything = at(("v1.10.1", two), ("v1.10", two), ("v1.9", one))
            assert reader.tags(ALL, releases=False) == everything
            assert reader.tags(TagGlob("v1.1?"), releases=False) == everything[1:2]
            assert reader.tags(ALL, releases=True) == []
            sandbox.publish_release("octo/site", "v1.9")
            sandbox.publish_release("octo/site", "v1.10", prerelease=True)
            sandbox.publish_release("octo/site", "v1.10.1", draft=True)
            assert reader.tags(ALL, releases=True) == everything[2:]
            github._pool.clear()
