"""Refs, tag objects and releases through GitHub's API, and the events about them."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.hooks import HookConfig, Hooks
from pulley.sandbox.github.pushes import Push, tell_of_pushes
from pulley.sandbox.github.server import GitHubError, GitHubServer
from tests.sandbox.github.shapes import GIT_REF, GIT_TAG, RELEASE, RELEASE_EVENT, check_shape
from tests.sandbox.listener import Listener
from tests.sandbox.repository import Call, Commits, git

pytestmark = pytest.mark.timeout(30)

SITE = "/repos/octo/site"
REFS = f"{SITE}/git/matching-refs"
RELEASES = f"{SITE}/releases"
NULL = "0" * 40
Deliver = Callable[..., list[dict[str, Any]]]


def tag(path: Path, name: str, target: str, *options: str) -> str:
    """Make a tag; return its object."""
    git(path, "tag", *options, name, target)
    return git(path, "rev-parse", f"refs/tags/{name}")


class TestMatchingRefs:
    def test_refs_have_their_object_which_of_an_annotated_tag_is_a_tag(
        self, call: Call, repository: Path, commits: Commits
    ) -> None:
        tag(repository, "v0", commits["first"])
        light, annotated = call("GET", f"{REFS}/tags/v").json()
        for one in (light, annotated):
            check_shape(one, GIT_REF)
        assert (light["ref"], light["object"]["type"]) == ("refs/tags/v0", "commit")
        assert light["object"]["sha"] == commits["first"]
        assert (annotated["ref"], annotated["object"]["type"]) == ("refs/tags/v1", "tag")
        assert annotated["object"]["sha"] == git(repository, "rev-parse", "v1")
        assert annotated["object"]["url"].endswith(f"/git/tags/{annotated['object']['sha']}")

    def test_name_must_begin_so_and_branches_are_refs_too(
        self, call: Call, repository: Path, commits: Commits
    ) -> None:
        for name in ("w1", "release/1.0", "release/1.1"):
            tag(repository, name, commits["first"])

        def listed(ref: str) -> list[str]:
            return [one["ref"] for one in call("GET", f"{REFS}/{ref}").json()]

        assert listed("tags/release/1.") == ["refs/tags/release/1.0", "refs/tags/release/1.1"]
        assert listed("tags/release%2F1.0") == ["refs/tags/release/1.0"]
        assert listed("heads/f") == ["refs/heads/feature/x"]
        assert listed("tags/none") == []
        assert len(listed("tags")) == 4

    def test_tag_of_a_tree_is_listed(self, call: Call, repository: Path, commits: Commits) -> None:
        tree = git(repository, "rev-parse", f"{commits['first']}^{{tree}}")
        tag(repository, "v0", tree)
        assert call("GET", f"{REFS}/tags/v0").json()[0]["object"]["type"] == "tree"


class TestTagObject:
    def test_it_points_at_its_commit(self, call: Call, repository: Path, commits: Commits) -> None:
        sha = git(repository, "rev-parse", "v1")
        shown = call("GET", f"{SITE}/git/tags/{sha}").json()
        check_shape(shown, GIT_TAG)
        assert (shown["tag"], shown["sha"], shown["message"]) == ("v1", sha, "one")
        assert shown["object"]["type"] == "commit"
        assert shown["object"]["sha"] == commits["second"]
        assert (shown["tagger"]["name"], shown["tagger"]["email"]) == ("a", "a@b")

    def test_it_may_point_at_another_tag(self, call: Call, repository: Path) -> None:
        inner = git(repository, "rev-parse", "v1")
        sha = tag(repository, "v2", inner, "-a", "-m", "two\n\nlines")
        shown = call("GET", f"{SITE}/git/tags/{sha}").json()
        assert (shown["object"]["type"], shown["object"]["sha"]) == ("tag", inner)
        assert shown["message"] == "two\n\nlines"

    @pytest.mark.parametrize("sha", ["second", "v1", "0" * 40, "x"])
    def test_anything_else_is_404(self, call: Call, commits: Commits, sha: str) -> None:
        assert call("GET", f"{SITE}/git/tags/{commits.get(sha, sha)}").status == 404


@pytest.fixture
def writing(github: GitHubServer) -> GitHubServer:
    """The server, with a token that may publish releases."""
    github.permissions |= {"contents": "write"}
    return github


@pytest.fixture
def hooked(github: GitHubServer, listener: Listener) -> Listener:
    """The listener, as a webhook that wants releases."""
    github.add_hook("octo/site", listener.url, events=("release",))
    return listener


def actions(listener: Listener) -> list[str]:
    """The actions so far. The listener forgets them."""
    seen = [json.loads(one.body)["action"] for one in listener.posted]
    listener.posted.clear()
    return seen


class TestReleases:
    def test_published_release_is_listed_newest_first(
        self, writing: GitHubServer, call: Call, repository: Path, commits: Commits
    ) -> None:
        made = call("POST", RELEASES, {"tag_name": "v1", "name": "One"})
        assert made.status == 201
        check_shape(made.json(), RELEASE)
        other = call("POST", RELEASES, {"tag_name": "v2", "target_commitish": "behind"}).json()
        assert git(repository, "rev-parse", "refs/tags/v2") == commits["behind"]
        assert other["published_at"]
        assert call("GET", RELEASES).json() == [other, made.json()]
        assert call("GET", RELEASES, per_page=1).json() == [other]
        assert writing.requests

    def test_draft_makes_no_tag_and_only_writers_see_it(
        self, writing: GitHubServer, call: Call, repository: Path
    ) -> None:
        made = call("POST", RELEASES, {"tag_name": "v2", "draft": True}).json()
        check_shape(made, RELEASE)
        assert (made["draft"], made["published_at"]) == (True, None)
        assert git(repository, "tag") == "v1"
        assert call("GET", RELEASES).json() == [made]
        writing.permissions |= {"contents": "read"}
        assert call("GET", RELEASES).json() == []

    def test_draft_is_published_by_a_change(self, writing: GitHubServer, call: Call) -> None:
        made = call("POST", RELEASES, {"tag_name": "v1", "draft": True}).json()
        shown = call("PATCH", f"{RELEASES}/{made['id']}", {"draft": False}).json()
        assert (shown["draft"], bool(shown["published_at"])) == (False, True)
        assert call("PATCH", f"{RELEASES}/1", {"draft": False}).status == 404
        assert writing.requests

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"tag_name": "v9", "target_commitish": "none"}, "target_commitish"),
            ({"tag_name": "v..9"}, "tag_name"),
            ({"tag_name": "v1"}, "tag_name"),
            ({}, "tag_name"),
        ],
    )
    def test_what_github_refuses_is_422(
        self, writing: GitHubServer, call: Call, body: object, field: str
    ) -> None:
        writing.publish_release("octo/site", "v1")
        answer = call("POST", RELEASES, body)
        assert (answer.status, answer.json()["errors"][0]["field"]) == (422, field)

    def test_reading_is_not_enough_to_publish(self, call: Call) -> None:
        assert call("POST", RELEASES, {"tag_name": "v1"}).status == 403


class TestReleaseEvent:
    def test_payload_has_the_release(self, hooked: Listener, github: GitHubServer) -> None:
        github.publish_release("octo/site", "v1")
        payloads: list[dict[str, Any]] = [json.loads(one.body) for one in hooked.posted]
        for payload in payloads:
            check_shape(payload, RELEASE_EVENT)
            assert payload["release"]["tag_name"] == "v1"
            assert payload["repository"]["full_name"] == "Octo/Site"
        assert hooked.events == ["release"] * 3
        assert actions(hooked) == ["created", "published", "released"]

    def test_actions_of_a_draft_that_becomes_a_pre_release_and_a_release(
        self, hooked: Listener, writing: GitHubServer, call: Call
    ) -> None:
        made = call("POST", RELEASES, {"tag_name": "v1", "draft": True}).json()
        seen = []
        for body in ({"draft": False, "prerelease": True}, {"prerelease": False}, {"name": "One"}):
            writing.hookshot.wait_until_idle()
            seen.append(actions(hooked))
            call("PATCH", f"{RELEASES}/{made['id']}", body)
        writing.hookshot.wait_until_idle()
        seen.append(actions(hooked))
        assert seen == [
            ["created"],
            ["published", "prereleased", "edited"],
            ["released", "edited"],
            ["edited"],
        ]

    def test_refused_release_is_not_delivered(self, hooked: Listener, github: GitHubServer) -> None:
        with pytest.raises(GitHubError, match="422"):
            github.publish_release("octo/site", "v..1")
        assert hooked.posted == []


class TestPushes:
    """What the upstream's hook reports: see pushes.py."""

    @pytest.fixture
    def deliver(self, github: GitHubServer, listener: Listener, repository: Path) -> Deliver:
        """Deliver pushes; return the payloads that the listener got."""
        ids = count(1)
        hosted, hooks = HostedRepository("Octo/Site", repository, ids), Hooks(ids)
        hooks.add(HookConfig(listener.url))

        def posted(*pushes: Push) -> list[dict[str, Any]]:
            listener.posted.clear()
            tell_of_pushes(hosted, hooks, github.hookshot, pushes)
            bodies = [parse_qs(one.body.decode())["payload"][0] for one in listener.posted]
            return [json.loads(one) for one in bodies]

        return posted

    def test_annotated_tag_is_pushed_with_its_object_and_deleted(
        self, deliver: Deliver, repository: Path, commits: Commits
    ) -> None:
        sha = git(repository, "rev-parse", "v1")
        pushes = [Push(NULL, sha, "refs/tags/v1"), Push(sha, NULL, "refs/tags/v1")]
        made, deleted = deliver(*pushes)
        assert (made["ref"], made["after"], made["created"]) == ("refs/tags/v1", sha, True)
        assert made["head_commit"]["id"] == commits["second"]
        assert (deleted["deleted"], deleted["head_commit"], deleted["commits"]) == (True, None, [])

    def test_moved_tag_is_pushed(self, deliver: Deliver, commits: Commits) -> None:
        push = Push(commits["behind"], commits["second"], "refs/tags/v0")
        (moved,) = deliver(push)
        assert (moved["forced"], moved["created"]) == (True, False)

    def test_tag_of_a_tree_has_no_commits(
        self, deliver: Deliver, repository: Path, commits: Commits
    ) -> None:
        tree = git(repository, "rev-parse", f"{commits['first']}^{{tree}}")
        pushes = [
            Push(NULL, tree, "refs/tags/v0"),
            Push(tree, commits["first"], "refs/tags/v0"),
        ]
        made, moved = deliver(*pushes)
        assert (made["after"], made["commits"], made["head_commit"]) == (tree, [], None)
        assert moved["head_commit"]["id"] == commits["first"]

    def test_more_than_three_tags_at_once_send_no_event(
        self, deliver: Deliver, commits: Commits
    ) -> None:
        tags = [Push(NULL, commits["first"], f"refs/tags/v{number}") for number in range(4)]
        branch = Push(commits["first"], commits["second"], "refs/heads/main")
        sent = deliver(*tags, branch)
        assert [one["ref"] for one in sent] == ["refs/heads/main"]
        assert len(deliver(*tags[:3])) == 3
