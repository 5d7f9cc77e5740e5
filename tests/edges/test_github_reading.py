"""A round reads from GitHub the tip of a branch, and the deliveries that failed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from subprocess import check_output, run
from typing import Any

import pytest

from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.refs import Branch, CommitSha
from chalicelib.core.targets import parse_stored_targets
from chalicelib.core.wanted import TargetFacts
from chalicelib.core.webhook import FailedDelivery
from chalicelib.edges.github import GitHub
from chalicelib.edges.github_api import REFUSED_SECONDS, GoneError, RateLimitError, TokenError
from chalicelib.edges.github_reading import RepositoryReading, reading
from chalicelib.flows.gates import newer_commits
from pulley.sandbox.github.server import Fault, HookDelivery
from pulley.sandbox.github.server import GitHubServer as SandboxGitHub
from tests.edges.scripted_server import Raw, ScriptedServer, answer
from tests.facts import OLD, ROLL_OUT
from tests.fakes import COMMIT, GUID, SITE, TOKEN, FakeClock, target_json, targets_text

pytestmark = pytest.mark.timeout(30)

MAIN = Branch("main")
NOW = datetime(2030, 1, 1, 8, tzinfo=UTC)
SINCE = NOW - timedelta(hours=1)
REPOSITORY = "/repos/octo/site"
HOOKS = f"{REPOSITORY}/hooks?per_page=100"
COMMITS_PATH = f"commits?sha={COMMIT}&per_page=100"
COMPARE_PATH = f"compare/{COMMIT}...{OLD}?per_page=1"
A, B, C, D = ("1" * 40, "2" * 40, "3" * 40, "4" * 40)


def said(message: str, status: int) -> Raw:
    return answer({"message": message}, status)


UNAUTHORIZED = said("Bad credentials", 401)
FORBIDDEN = said("Resource not accessible by personal access token", 403)
NOT_FOUND = said("Not Found", 404)
BUSY = said("Server Error", 502)
LIMIT = answer({"message": "You have exceeded a secondary rate limit."}, 403, Retry_After=17)


def shown_branch(name: str = "main", sha: object = COMMIT) -> dict[str, object]:
    """A branch as GitHub's page "REST API endpoints for branches" shows it, with fewer fields."""
    return {"name": name, "commit": {"sha": sha, "url": "https://x.example"}, "protected": False}


def shown_commit(sha: object, *parents: object) -> dict[str, object]:
    """A commit as GitHub's page "REST API endpoints for commits" shows it, with fewer fields."""
    return {
        "sha": sha,
        "commit": {"message": "Fix all the bugs", "tree": {"sha": "6dcb09b"}},
        "parents": [{"sha": one, "url": "https://x.example"} for one in parents],
    }


def shown_comparison(base: object) -> dict[str, object]:
    """A comparison as the same page shows it."""
    return {
        "base_commit": shown_commit(COMMIT),
        "merge_base_commit": shown_commit(base),
        "status": "diverged",
        "ahead_by": 4,
        "behind_by": 2,
        "total_commits": 4,
        "commits": [shown_commit(OLD)],
    }


def shown_hook(
    number: object = 1, url: object = "https://x.example/api/github"
) -> dict[str, object]:
    """A webhook as GitHub's page "REST API endpoints for repository webhooks" shows it."""
    return {
        "type": "Repository",
        "id": number,
        "name": "web",
        "active": True,
        "events": ["push"],
        "config": {"content_type": "json", "insecure_ssl": "0", "url": url},
    }


def shown_delivery(minutes: float = 0, **changes: object) -> dict[str, object]:
    """A delivery as the same page shows it, `minutes` before NOW."""
    return {
        "id": 12345678,
        "guid": GUID,
        "delivered_at": f"{NOW - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}",
        "redelivery": False,
        "duration": 0.27,
        "status": "Invalid HTTP Response: 502",
        "status_code": 502,
        "event": "push",
        "action": None,
        "installation_id": None,
        "repository_id": 456,
        "throttled_at": None,
    } | changes


def lost(
    minutes: float = 0,
    guid: str = GUID,
    event: str = "push",
    status: str = "Invalid HTTP Response: 502",
    status_code: int = 502,
) -> FailedDelivery:
    """The FailedDelivery that Pulley reads from `shown_delivery`."""
    return FailedDelivery(guid, event, NOW - timedelta(minutes=minutes), status, status_code)


class Api:
    """A server that answers by path, and the edge that sends requests to it."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.by_path: dict[str, Raw] = {}
        self.anything_else = NOT_FOUND
        server.script = self._answer
        self.clock = FakeClock()
        self.github = GitHub(server.url, self.clock)

    def _answer(self, request: Any) -> Raw:  # noqa: ANN401
        return self.by_path.get(request.target, self.anything_else)

    def of(self, token: str = TOKEN) -> RepositoryReading:
        return reading(self.github)(SITE, token)

    def has(self, part: str, content: object) -> None:
        """From now on, answer this path of the repository with the content."""
        self.by_path[f"{REPOSITORY}/{part}"] = answer(content)

    def has_deliveries(self, *deliveries: object, hook: int = 1) -> None:
        self.has(f"hooks/{hook}/deliveries?per_page=100", list(deliveries))

    @property
    def calls(self) -> int:
        return len(self.server.requests)


class Git:
    """A bare repository, in which a test makes commits."""

    def __init__(self, repository: Path) -> None:
        self.git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
        self.tree = self._run("mktree")
        self.made = 0

    def commit(self, *parents: CommitSha) -> CommitSha:
        self.made += 1
        given = [word for one in parents for word in ("-p", one.sha)]
        made = self._run("commit-tree", "-m", str(self.made), self.tree, *given)
        return CommitSha(made)

    def point(self, branch: str, commit: CommitSha) -> None:
        self._run("update-ref", f"refs/heads/{branch}", commit.sha)

    def _run(self, *arguments: str) -> str:
        return check_output([*self.git, *arguments], input=b"").decode().strip()


@pytest.fixture
def api() -> Iterator[Api]:
    with ScriptedServer(lambda _request: NOT_FOUND) as server:
        api = Api(server)
        yield api
        api.github._pool.clear()


@pytest.fixture
def hooked(api: Api) -> Api:
    """A repository with one webhook of Pulley."""
    api.has("hooks?per_page=100", [shown_hook()])
    return api


ASKING: dict[str, Callable[[RepositoryReading], object]] = {
    "head": lambda one: one.head(MAIN),
    "commits": lambda one: one.commits(MAIN),
    "merge_base": lambda one: one.merge_base(CommitSha(COMMIT), CommitSha(OLD)),
    "failed_deliveries": lambda one: one.failed_deliveries(SINCE),
}
both = pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING.keys())


class TestHead:
    def test_head_is_the_commit_of_the_branch(self, api: Api) -> None:
        api.has("branches/main", shown_branch())
        assert api.of().head(MAIN) == CommitSha(COMMIT)
        assert api.server.lines == [f"GET {REPOSITORY}/branches/main"]
        assert api.server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"

    @pytest.mark.parametrize(
        ("name", "quoted"),
        [
            ("release/1.2", "release%2F1.2"),
            ("a/b/c", "a%2Fb%2Fc"),
            ("100%", "100%25"),
            ("a%2Fb", "a%252Fb"),
            ("fix#7", "fix%237"),
            ("a+b=c,d@e", "a%2Bb%3Dc%2Cd%40e"),
        ],
    )
    def test_branch_name_is_quoted_in_the_path(self, api: Api, name: str, quoted: str) -> None:
        api.has(f"branches/{quoted}", shown_branch(name))
        assert api.of().head(Branch.parse(name)) == CommitSha(COMMIT)
        assert api.server.requests[0].target == f"{REPOSITORY}/branches/{quoted}"

    def test_missing_branch_is_none_and_further_requests_are_sent(self, api: Api) -> None:
        assert api.of().head(MAIN) is None
        assert api.of().head(MAIN) is None
        assert api.calls == 2
        api.has("branches/other", shown_branch("other"))
        assert api.of().head(Branch("other")) == CommitSha(COMMIT)

    def test_redirect_to_a_renamed_branch_gives_none(self, api: Api) -> None:
        moved = f"{api.server.url}{REPOSITORY}/branches/main"
        api.by_path[f"{REPOSITORY}/branches/master"] = answer({}, 301, Location=moved)
        api.has("branches/main", shown_branch("main"))
        assert api.of().head(Branch("master")) is None
        assert api.calls == 2

    def test_branch_of_a_renamed_repository_is_found(self, api: Api) -> None:
        moved = f"{api.server.url}/repositories/42/branches/main"
        api.by_path[f"{REPOSITORY}/branches/main"] = answer({}, 301, Location=moved)
        api.by_path["/repositories/42/branches/main"] = answer(shown_branch())
        assert api.of().head(MAIN) == CommitSha(COMMIT)

    @pytest.mark.parametrize(
        "content",
        [
            None,
            [],
            "main",
            {},
            {"name": "main"},
            {"name": "main", "commit": None},
            {"commit": {"sha": COMMIT}},
            shown_branch(sha=None),
            shown_branch(sha=7),
            shown_branch(sha="4d5e6f7"),
            shown_branch(sha="0" * 40),
            shown_branch(sha="g" * 40),
        ],
    )
    def test_answer_without_a_branch_is_unavailable(self, api: Api, content: object) -> None:
        api.has("branches/main", content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            api.of().head(MAIN)


class TestCommits:
    def commits(self, api: Api, *listed: object) -> list[str]:
        api.has("branches/main", shown_branch())
        api.has(COMMITS_PATH, list(listed))
        return [one.sha for one in api.of().commits(MAIN)]

    def test_commits_are_the_tip_and_its_first_parents(self, api: Api) -> None:
        listed = shown_commit(COMMIT, B), shown_commit(B, A), shown_commit(A)
        assert self.commits(api, *listed) == [COMMIT, B, A]
        assert api.server.lines == [
            f"GET {REPOSITORY}/branches/main",
            f"GET {REPOSITORY}/{COMMITS_PATH}",
        ]

    def test_commits_of_a_merged_branch_were_never_the_branch_s_tip(self, api: Api) -> None:
        merge = shown_commit(COMMIT, B, D)
        merged = shown_commit(D, C), shown_commit(C, A)
        listed = merge, *merged, shown_commit(B, A), shown_commit(A)
        assert self.commits(api, *listed) == [COMMIT, B, A]

    def test_order_of_the_list_does_not_matter(self, api: Api) -> None:
        # GitHub sorts by date, and a clock may be wrong.
        listed = shown_commit(A), shown_commit(COMMIT, B), shown_commit(B, A)
        assert self.commits(api, *listed) == [COMMIT, B, A]

    def test_first_parents_end_where_the_page_ends(self, api: Api) -> None:
        assert self.commits(api, shown_commit(COMMIT, B), shown_commit(B, A)) == [COMMIT, B]

    def test_circle_of_parents_ends(self, api: Api) -> None:
        assert self.commits(api, shown_commit(COMMIT, B), shown_commit(B, COMMIT)) == [COMMIT, B]

    def test_missing_branch_has_no_commits_and_none_are_requested(self, api: Api) -> None:
        assert api.of().commits(MAIN) == []
        assert api.calls == 1

    def test_redirect_to_a_renamed_branch_gives_no_commits(self, api: Api) -> None:
        api.has("branches/main", shown_branch("trunk"))
        assert api.of().commits(MAIN) == []

    @pytest.mark.parametrize("listed", [[], [shown_commit(A)], [shown_commit(B, COMMIT)]])
    def test_list_without_the_tip_is_unavailable(self, api: Api, listed: list[object]) -> None:
        with pytest.raises(UnavailableError, match="cannot be read") as caught:
            self.commits(api, *listed)
        assert "tip" in caught.value.detail

    @pytest.mark.parametrize(
        "odd",
        [
            None,
            "x",
            {},
            {"sha": B},
            {"sha": B, "parents": None},
            {"sha": B, "parents": [None]},
            {"sha": B, "parents": [{}]},
            {"sha": B, "parents": "x"},
            shown_commit("HEAD", A),
            shown_commit(None, A),
        ],
    )
    def test_commit_that_cannot_be_read_ends_the_list(self, api: Api, odd: object) -> None:
        assert self.commits(api, shown_commit(COMMIT, B), odd, shown_commit(A))[:1] == [COMMIT]
        assert A not in self.commits(api, shown_commit(COMMIT, B), odd, shown_commit(A))

    @pytest.mark.parametrize("parent", [None, 7, ["x"], "main", "", "--upload-pack=x"])
    def test_parent_that_is_no_commit_ends_the_list(self, api: Api, parent: object) -> None:
        assert self.commits(api, shown_commit(COMMIT, parent), shown_commit(A)) == [COMMIT]

    @pytest.mark.parametrize("content", [None, {}, "x", {"message": "Git Repository is empty."}])
    def test_answer_that_is_not_a_list_is_unavailable(self, api: Api, content: object) -> None:
        api.has("branches/main", shown_branch())
        api.has(COMMITS_PATH, content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            api.of().commits(MAIN)

    def test_conflict_of_an_empty_repository_is_not_taken(self, api: Api) -> None:
        api.has("branches/main", shown_branch())
        api.by_path[f"{REPOSITORY}/{COMMITS_PATH}"] = said("Git Repository is empty.", 409)
        with pytest.raises(NotTakenError, match="Git Repository is empty"):
            api.of().commits(MAIN)


class TestMergeBase:
    def base(self, api: Api) -> CommitSha | None:
        return api.of().merge_base(CommitSha(COMMIT), CommitSha(OLD))

    def test_base_is_the_one_that_github_names(self, api: Api) -> None:
        api.has(COMPARE_PATH, shown_comparison(A))
        assert self.base(api) == CommitSha(A)
        assert api.server.lines == [f"GET {REPOSITORY}/{COMPARE_PATH}"]

    def test_commit_that_github_has_forgotten_has_no_base(self, api: Api) -> None:
        assert self.base(api) is None
        assert self.base(api) is None
        assert api.calls == 2

    @pytest.mark.parametrize(
        "content",
        [
            None,
            [],
            "x",
            {},
            {"merge_base_commit": None},
            {"merge_base_commit": A},
            {"merge_base_commit": {}},
            *(shown_comparison(sha) for sha in (None, 7, "4d5e6f7", "0" * 40, "main")),
        ],
    )
    def test_answer_without_a_base_is_unavailable(self, api: Api, content: object) -> None:
        api.has(COMPARE_PATH, content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            self.base(api)


class TestFailedDeliveries:
    def test_failed_delivery_is_returned_with_its_status(self, hooked: Api) -> None:
        hooked.has_deliveries(shown_delivery(5))
        assert hooked.of().failed_deliveries(SINCE) == [lost(5)]
        assert hooked.server.lines == [
            f"GET {HOOKS}",
            f"GET {REPOSITORY}/hooks/1/deliveries?per_page=100",
        ]

    @pytest.mark.parametrize("code", [200, 202, 204])
    def test_successful_delivery_is_not_returned(self, hooked: Api, code: int) -> None:
        hooked.has_deliveries(shown_delivery(status="OK", status_code=code))
        assert hooked.of().failed_deliveries(SINCE) == []

    @pytest.mark.parametrize(
        ("code", "status"),
        [(0, "timed out"), (301, "Moved Permanently"), (401, "Unauthorized"), (504, "timed out")],
    )
    def test_delivery_with_any_other_code_is_returned(
        self, hooked: Api, code: int, status: str
    ) -> None:
        hooked.has_deliveries(shown_delivery(status=status, status_code=code, event="ping"))
        assert hooked.of().failed_deliveries(SINCE) == [
            lost(status=status, status_code=code, event="ping")
        ]

    @pytest.mark.parametrize(
        "since", [SINCE, SINCE.astimezone(timezone(timedelta(hours=-9, minutes=-30)))]
    )
    def test_deliveries_before_since_are_left_out(self, hooked: Api, since: datetime) -> None:
        hooked.has_deliveries(
            shown_delivery(59, guid="a"),
            shown_delivery(60, guid="b"),
            shown_delivery(60.1, guid="c"),
        )
        assert hooked.of().failed_deliveries(since) == [lost(60, "b"), lost(59, "a")]

    @pytest.mark.parametrize("order", [1, -1], ids=["newest first", "oldest first"])
    def test_delivery_with_a_successful_redelivery_is_not_returned(
        self, hooked: Api, order: int
    ) -> None:
        attempts = [
            shown_delivery(1, redelivery=True),
            shown_delivery(2, redelivery=True, status="OK", status_code=202),
            shown_delivery(3),
            shown_delivery(4, guid="another"),
        ]
        hooked.has_deliveries(*attempts[::order])
        assert hooked.of().failed_deliveries(SINCE) == [lost(4, "another")]

    @pytest.mark.parametrize("order", [1, -1], ids=["newest first", "oldest first"])
    def test_delivery_with_a_failed_redelivery_is_returned_once(
        self, hooked: Api, order: int
    ) -> None:
        attempts = [shown_delivery(1, status_code=504), shown_delivery(90)]
        hooked.has_deliveries(*attempts[::order])
        assert hooked.of().failed_deliveries(SINCE) == [lost(1, status_code=504)]

    def test_only_webhooks_of_pulley_are_read(self, api: Api) -> None:
        urls = [
            "https://ci.example/hook",
            "https://x.execute-api.eu-west-1.amazonaws.com/api/github",
            "https://x.example/github?stage=dev",
            "https://x.example/github/other",
            "https://x.example/other?to=/github",
            "https://x.example/nogithub",
            "http://[/github",
            None,
            7,
        ]
        strange: list[object] = [None, "hook", [], {}, {"id": 5}, {"id": 5, "config": None}]
        strange += [shown_hook(None), shown_hook("../x"), shown_hook(1.0)]
        api.has("hooks?per_page=100", [shown_hook(n, url) for n, url in enumerate(urls)] + strange)
        for number in (1, 2):
            api.has_deliveries(shown_delivery(number, guid=f"of {number}"), hook=number)
        found = api.of().failed_deliveries(SINCE)
        assert [one.id for one in found] == ["of 1", "of 2"]
        assert api.calls == 3

    def test_same_delivery_id_is_judged_separately_for_each_webhook(self, api: Api) -> None:
        api.has("hooks?per_page=100", [shown_hook(1), shown_hook(2)])
        api.has_deliveries(shown_delivery(), hook=1)
        api.has_deliveries(shown_delivery(status_code=202), hook=2)
        assert api.of().failed_deliveries(SINCE) == [lost()]

    def test_webhook_deleted_meanwhile_does_not_hide_the_others(self, api: Api) -> None:
        api.has("hooks?per_page=100", [shown_hook(1), shown_hook(2)])
        api.has_deliveries(shown_delivery(), hook=2)
        assert api.of().failed_deliveries(SINCE) == [lost()]

    @pytest.mark.parametrize(
        "changes",
        [
            {"guid": None},
            {"status_code": None},
            {"status_code": "502"},
            {"status_code": True},
            {"delivered_at": None},
            {"delivered_at": "yesterday"},
            {"delivered_at": "2030-01-01T08:00:00"},
        ],
    )
    def test_malformed_deliveries_are_ignored(
        self, hooked: Api, changes: dict[str, object]
    ) -> None:
        without = {name: of for name, of in shown_delivery().items() if name not in changes}
        hooked.has_deliveries(shown_delivery() | changes, without, None, 5, [], shown_delivery(2))
        assert hooked.of().failed_deliveries(SINCE) == [lost(2)]

    def test_status_and_event_may_be_missing_and_long_status_is_cut(self, hooked: Api) -> None:
        hooked.has_deliveries(
            shown_delivery(1, guid="a", status="x" * 5000),
            shown_delivery(2, guid="b", status=None, event=None),
        )
        without, long = hooked.of().failed_deliveries(SINCE)
        assert len(long.status) == 100
        assert (without.status, without.event) == ("", "")

    @pytest.mark.parametrize("content", [{}, None, "x", {"message": "x"}])
    def test_answer_that_is_not_a_list_is_unavailable(self, hooked: Api, content: object) -> None:
        hooked.has("hooks/1/deliveries?per_page=100", content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            hooked.of().failed_deliveries(SINCE)
        hooked.has("hooks?per_page=100", content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            hooked.of().failed_deliveries(SINCE)


class TestPermissions:
    """A token that lacks one permission is still used for the other requests."""

    CONTENTS = ("head", "commits", "merge_base")

    def show_contents(self, api: Api) -> None:
        api.has("branches/main", shown_branch())
        api.has(COMMITS_PATH, [shown_commit(COMMIT)])
        api.has(COMPARE_PATH, shown_comparison(OLD))

    def working(self, api: Api, *but: str) -> list[str]:
        """The names of the reads that GitHub does not refuse."""
        api.has("deployments?environment=x&per_page=100&page=1", [])
        asking = ASKING | {"deployments": lambda one: list(one.newest("x"))}
        asking = {name: ask for name, ask in asking.items() if name not in but}
        done = []
        for name, ask in asking.items():
            try:
                ask(api.of())
            except NotTakenError:
                continue
            done.append(name)
        return done

    @pytest.mark.parametrize("refusal", [FORBIDDEN, NOT_FOUND], ids=["403", "404"])
    def test_without_webhooks_permission_deployments_and_branches_work(
        self, api: Api, refusal: Raw
    ) -> None:
        api.by_path[HOOKS] = refusal
        self.show_contents(api)
        with pytest.raises(NotTakenError, match="Webhooks: read") as caught:
            api.of().failed_deliveries(SINCE)
        assert not caught.value.is_known
        assert self.working(api) == [*self.CONTENTS, "deployments"]

    def test_refused_deliveries_leave_deployments_and_branches_working(self, hooked: Api) -> None:
        hooked.by_path[f"{REPOSITORY}/hooks/1/deliveries?per_page=100"] = FORBIDDEN
        self.show_contents(hooked)
        with pytest.raises(NotTakenError, match="Webhooks: read"):
            hooked.of().failed_deliveries(SINCE)
        assert self.working(hooked) == [*self.CONTENTS, "deployments"]

    def test_without_contents_permission_deployments_and_webhooks_work(self, hooked: Api) -> None:
        for path in ("branches/main", COMPARE_PATH):
            hooked.by_path[f"{REPOSITORY}/{path}"] = FORBIDDEN
        hooked.has_deliveries()
        with pytest.raises(NotTakenError, match="Contents: read"):
            hooked.of().head(MAIN)
        assert self.working(hooked) == ["failed_deliveries", "deployments"]

    def test_without_deployments_permission_branches_and_webhooks_work(self, hooked: Api) -> None:
        self.show_contents(hooked)
        hooked.has_deliveries()
        hooked.by_path[f"{REPOSITORY}/deployments?environment=x&per_page=100&page=1"] = FORBIDDEN
        with pytest.raises(NotTakenError, match="Deployments: write"):
            list(hooked.of().newest("x"))
        assert self.working(hooked, "deployments") == [*self.CONTENTS, "failed_deliveries"]

    @both
    def test_refusal_is_new_once_and_costs_no_request_during_the_pause(
        self, api: Api, ask: Callable[[RepositoryReading], object]
    ) -> None:
        api.anything_else = FORBIDDEN
        with pytest.raises(TokenError) as first:
            ask(api.of())
        with pytest.raises(TokenError) as second:
            ask(api.of())
        assert (first.value.is_known, second.value.is_known) == (False, True)
        assert api.calls == 1
        api.clock.now += REFUSED_SECONDS + 1
        with pytest.raises(TokenError) as later:
            ask(api.of())
        assert not later.value.is_known
        assert api.calls == 2

    @both
    def test_invalid_token_is_not_used_for_any_read(
        self, api: Api, ask: Callable[[RepositoryReading], object]
    ) -> None:
        api.anything_else = UNAUTHORIZED
        with pytest.raises(TokenError):
            ask(api.of())
        assert self.working(api) == []
        assert api.calls == 1

    @both
    def test_rate_limit_pauses_every_read(
        self, api: Api, ask: Callable[[RepositoryReading], object]
    ) -> None:
        api.anything_else = LIMIT
        with pytest.raises(RateLimitError):
            ask(api.of())
        for other in ASKING.values():
            with pytest.raises(RateLimitError):
                other(api.of())
        with pytest.raises(RateLimitError):
            list(api.of().newest("x"))
        assert api.calls == 1

    @both
    def test_server_error_is_unavailable_and_starts_no_pause(
        self, api: Api, ask: Callable[[RepositoryReading], object]
    ) -> None:
        api.anything_else = BUSY
        with pytest.raises(UnavailableError, match="not well"):
            ask(api.of())
        assert len(api.github._closed) == 0

    def test_deleted_deployment_does_not_stop_further_requests(self, api: Api) -> None:
        for _ in range(2):
            with pytest.raises(GoneError):
                api.of().statuses(42)
        assert api.calls == 2


class TestCommittedAt:
    @pytest.mark.parametrize(
        ("date", "expected"),
        [
            ("2029-12-31T08:00:00Z", datetime(2029, 12, 31, 8, tzinfo=UTC)),
            ("2029-12-31T10:00:00+02:00", datetime(2029, 12, 31, 8, tzinfo=UTC)),
            ("2029-12-31T08:00:00", datetime(2029, 12, 31, 8, tzinfo=UTC)),
        ],
    )
    def test_committer_s_time_is_read(self, api: Api, date: str, expected: datetime) -> None:
        commit = {"sha": COMMIT, "commit": {"committer": {"date": date}}}
        api.has(f"commits?sha={COMMIT}&per_page=1", [commit])
        assert api.of().committed_at(CommitSha(COMMIT)) == expected

    @pytest.mark.parametrize(
        "shown",
        [[], {}, [{"commit": None}], [{"commit": {"committer": {"date": "yesterday"}}}], [7]],
    )
    def test_answer_without_a_time_is_an_error(self, api: Api, shown: object) -> None:
        api.has(f"commits?sha={COMMIT}&per_page=1", shown)
        with pytest.raises(UnavailableError, match="cannot be read"):
            api.of().committed_at(CommitSha(COMMIT))


class TestOnTheSandbox:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        path = tmp_path / "site.git"
        run(["git", "init", "--quiet", "--bare", str(path)], check=True)
        return path

    def test_branches_of_the_git_repository_are_read(self, repository: Path) -> None:
        git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
        tree = check_output([*git, "mktree"], input=b"").decode().strip()
        sha = check_output([*git, "commit-tree", "-m", "x", tree]).decode().strip()
        for name in ("main", "release/1.2", "a%2Fb"):
            run([*git, "update-ref", f"refs/heads/{name}", sha], check=True)
        with SandboxGitHub({"octo/site": repository}, token=TOKEN) as sandbox:
            github = GitHub(sandbox.api_url)
            for name in ("main", "release/1.2", "a%2Fb"):
                assert reading(github)(SITE, TOKEN).head(Branch.parse(name)) == CommitSha(sha)
            assert reading(github)(SITE, TOKEN).head(Branch("release")) is None
            assert reading(github)(SITE, TOKEN).head(Branch("a/b")) is None
            github._pool.clear()

    def test_first_parents_and_merge_bases_are_those_of_git(self, repository: Path) -> None:
        git = Git(repository)
        first = git.commit()
        second, side = git.commit(first), git.commit(first)
        merge = git.commit(second, side)
        other = git.commit()
        git.point("main", merge)
        with SandboxGitHub({"octo/site": repository}, token=TOKEN) as sandbox:
            github = GitHub(sandbox.api_url)
            site = reading(github)(SITE, TOKEN)
            assert site.commits(MAIN) == [merge, second, first]
            assert site.commits(Branch("other")) == []
            assert site.merge_base(second, side) == first
            assert site.merge_base(side, merge) == side
            assert site.merge_base(merge, merge) == merge
            assert site.merge_base(other, merge) is None
            assert site.merge_base(CommitSha(COMMIT), merge) is None
            github._pool.clear()

    def test_newest_hundred_commits_are_read(self, repository: Path) -> None:
        git = Git(repository)
        made = [git.commit()]
        for _ in range(119):
            made.append(git.commit(made[-1]))
        git.point("main", made[-1])
        with SandboxGitHub({"octo/site": repository}, token=TOKEN) as sandbox:
            github = GitHub(sandbox.api_url)
            assert reading(github)(SITE, TOKEN).commits(MAIN) == made[:-101:-1]
            github._pool.clear()

    def test_only_a_merge_that_has_the_sent_commit_is_newer(self, repository: Path) -> None:
        """`git pull` merged what was sent into the pusher's own line, the first parents."""
        git = Git(repository)
        root = git.commit()
        old, sent = git.commit(root), git.commit(root)
        merge = git.commit(old, sent)
        tip = git.commit(merge)
        git.point("main", tip)
        (web,) = parse_stored_targets(targets_text(target_json(checks=["test"])), SITE)
        with SandboxGitHub({"octo/site": repository}, token=TOKEN) as sandbox:
            github = GitHub(sandbox.api_url)
            site = reading(github)(SITE, TOKEN)
            asked = [replace(ROLL_OUT, commit=sent)]
            facts = TargetFacts(web, (), (), asked=asked, commits=site.commits(MAIN))
            assert facts.commits == [tip, merge, old, root]
            assert newer_commits(facts, site) == [tip, merge]
            github._pool.clear()

    def test_failed_deliveries_of_pulley_s_webhook_are_read(self, repository: Path) -> None:
        with SandboxGitHub({"octo/site": repository}, token=TOKEN) as sandbox:
            github = GitHub(sandbox.api_url)
            assert reading(github)(SITE, TOKEN).failed_deliveries(SINCE) == []
            hook = sandbox.add_hook("octo/site", "https://x.example/api/github")
            other = sandbox.add_hook("octo/site", "https://ci.example/")
            other.deliveries.append(HookDelivery("of another", "push", NOW, 500, "Server Error"))
            hook.deliveries += [
                HookDelivery("long ago", "push", SINCE - timedelta(minutes=1), 0, "timed out"),
                HookDelivery("taken", "push", NOW),
                HookDelivery("lost", "push", NOW, 0, "failed to connect to host"),
            ]
            assert reading(github)(SITE, TOKEN).failed_deliveries(SINCE) == [
                FailedDelivery("lost", "push", NOW, "failed to connect to host", 0)
            ]
            refusal = Fault(403, b'{"message": "Resource not accessible"}')
            sandbox.fault = lambda _method, path: refusal if "/hooks" in path else None
            with pytest.raises(NotTakenError, match="Webhooks: read"):
                reading(github)(SITE, TOKEN).failed_deliveries(SINCE)
            assert list(reading(github)(SITE, TOKEN).newest("production")) == []
            github._pool.clear()
