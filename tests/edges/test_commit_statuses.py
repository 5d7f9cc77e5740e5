"""Reports to Gitea and Forgejo, against a server on loopback that answers as they do."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.core.deployments import Cause, DeploymentRequest, DeploymentStatus, Links
from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.tags import TaggedCommit, TagGlob
from chalicelib.edges.aws import Deadline
from chalicelib.edges.commit_statuses import MAX_KNOWN, Forge, ForgeRepository
from chalicelib.edges.github import GitHub, github_at
from chalicelib.edges.github_api import GoneError, TokenError
from chalicelib.edges.github_deadline import PromptGitHub
from chalicelib.edges.github_reading import MOST_TAGS, reading
from chalicelib.flows.find_deployment import find_or_create
from chalicelib.flows.notify import Memory, Notifier
from chalicelib.flows.sync import DeploymentSync
from tests.edges.scripted_server import Raw, ScriptedServer, answer
from tests.fakes import (
    COMMIT,
    GUID,
    NAMES,
    SITE,
    STAGE,
    TOKEN,
    FakeHistory,
    FakeJournal,
    FakeParameters,
    FakeTopic,
    targets_text,
)
from tests.flows.runs import NOW, command_of, line_of, on, rolled_back, running
from tests.forges import GiteaApi

pytestmark = pytest.mark.timeout(30)

REQUEST = DeploymentRequest(CommitSha(COMMIT), "production", STAGE, "web", GUID)
LOG = "https://eu-central-1.console.aws.amazon.com/run-command/1?region=eu-central-1"
MAIN = Branch("main")
A, B, C, D, E = (CommitSha(letter * 40) for letter in "abcde")
STATES = {
    "queued": "pending",
    "in_progress": "pending",
    "success": "success",
    "failure": "failure",
    "error": "error",
    "inactive": "warning",
}


class Server:
    """A Gitea on loopback, and the edge of a process."""

    def __init__(self, server: ScriptedServer, api: GiteaApi) -> None:
        self.api = api
        self.http = server
        self.forge = self.new_process()
        self.repository = self.forge.of(SITE, TOKEN)

    def new_process(self) -> Forge:
        forge = github_at(f"{self.http.url}/api/v1/")
        assert isinstance(forge, Forge)
        return forge

    @property
    def shown(self) -> list[tuple[str, str]]:
        """The state and the description of each status of the commit, oldest first."""
        return [(one["status"], one["description"]) for one in self.api.statuses[COMMIT]]


@pytest.fixture
def gitea() -> Iterator[Server]:
    api = GiteaApi()
    with ScriptedServer(api) as http:
        server = Server(http, api)
        yield server
        server.forge._pool.clear()


class TestGithubAt:
    @pytest.mark.parametrize("url", ["https://git.example.com/api/v1", "https://x.example/api/v1/"])
    def test_api_v1_is_a_gitea_or_forgejo(self, url: str) -> None:
        assert isinstance(github_at(url), Forge)

    @pytest.mark.parametrize(
        "url", ["https://api.github.com", "https://github.example.com/api/v3", "https://v1.example"]
    )
    def test_other_addresses_are_github(self, url: str) -> None:
        assert type(github_at(url)) is GitHub

    def test_rounds_and_operators_read_with_the_same_edge(self, gitea: Server) -> None:
        assert isinstance(reading(gitea.forge)(SITE, TOKEN), ForgeRepository)


class TestDeployment:
    def test_commit_without_a_status_has_none(self, gitea: Server) -> None:
        assert gitea.repository.find(REQUEST) is None
        (request,) = gitea.http.requests
        path = f"/api/v1/repos/octo/site/statuses/{COMMIT}"
        assert request.target == f"{path}?limit=50&page=1"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"

    def test_created_deployment_is_a_pending_status(self, gitea: Server) -> None:
        made = gitea.repository.create(REQUEST)
        assert (made.commit, made.environment) == (COMMIT, "production")
        assert (made.stage, made.target) == (STAGE, "web")
        assert made.created == datetime(2030, 1, 31, 12, tzinfo=UTC)
        assert gitea.repository.find(REQUEST) == made
        assert gitea.http.requests[0].json == {
            "state": "pending",
            "context": "pulley/production",
            "description": "Pulley: web",
            "target_url": f"{gitea.http.url}/octo/site/commit/{COMMIT}#queued",
        }

    def test_every_process_gives_it_the_same_id_that_fits_the_document(self, gitea: Server) -> None:
        made = gitea.repository.create(REQUEST)
        other = gitea.new_process().of(SITE, "another")
        assert other.find(replace(REQUEST, delivery="another")) == made
        assert other.deployment(made.id) == made
        assert 0 <= made.id < 10**20

    @pytest.mark.parametrize(
        "change",
        [
            {"commit": A},
            {"environment": "staging"},
            {"stage": "prod"},
            {"target": "api"},
        ],
    )
    def test_other_request_has_another_id(self, gitea: Server, change: dict[str, object]) -> None:
        made = gitea.repository.create(REQUEST)
        other = gitea.repository.create(replace(REQUEST, **change))  # type: ignore[arg-type] # of dataclasses.replace
        assert made.id != other.id

    def test_id_that_the_process_did_not_ask_for_is_unknown(self, gitea: Server) -> None:
        made = gitea.repository.create(REQUEST)
        for other in (
            gitea.new_process().of(SITE, TOKEN),
            gitea.forge.of(Repository("a", "b"), "x"),
        ):
            assert other.deployment(made.id) is None
            with pytest.raises(NotTakenError, match="not found before it was used"):
                other.statuses(made.id)

    def test_process_forgets_the_oldest_but_not_what_it_uses(self, gitea: Server) -> None:
        remember = gitea.repository._remember
        first, second = remember(REQUEST), remember(replace(REQUEST, target="second"))
        for number in range(MAX_KNOWN - 2):
            remember(replace(REQUEST, target=f"web{number}"))
        remember(REQUEST)
        remember(replace(REQUEST, target="newest"))
        known = {id_ for _, id_ in gitea.forge.known}
        assert first in known
        assert second not in known
        assert len(known) == MAX_KNOWN

    def test_answer_to_a_post_that_cannot_be_read_is_an_error(self, gitea: Server) -> None:
        gitea.api.refusal = answer({"id": "x"}, 201)
        with pytest.raises(UnavailableError, match="cannot be read"):
            gitea.repository.create(REQUEST)

    def test_environment_has_no_list_of_deployments(self, gitea: Server) -> None:
        gitea.repository.create(REQUEST)
        assert list(gitea.repository.newest("production")) == []

    def test_checks_are_not_judged(self, gitea: Server) -> None:
        with pytest.raises(NotTakenError, match="checks needs GitHub"):
            gitea.repository.create_if_green(REQUEST, ["test"])
        assert gitea.http.requests == []


class TestStatuses:
    @pytest.mark.parametrize(("state", "shown"), STATES.items())
    def test_status_is_read_back_as_it_was_posted(
        self, gitea: Server, state: str, shown: str
    ) -> None:
        id_, status = gitea.repository.create(REQUEST).id, DeploymentStatus(state, "why & how…")
        gitea.repository.post(id_, status, Links(LOG))
        assert gitea.repository.statuses(id_)[0] == status
        newest = gitea.api.statuses[COMMIT][-1]
        assert newest["status"] == shown
        assert newest["target_url"] == f"{LOG}#{state}"

    @pytest.mark.parametrize("end", ["success", "failure", "error"])
    def test_inactive_keeps_the_state_of_the_end_before_it(self, gitea: Server, end: str) -> None:
        id_ = gitea.repository.create(REQUEST).id
        gitea.repository.post(id_, DeploymentStatus(end, "there"))
        gitea.repository.post(id_, DeploymentStatus("in_progress", "late"))
        gitea.repository.post(id_, DeploymentStatus("inactive", "replaced by 1234567"))
        assert gitea.shown[-1] == (end, "replaced by 1234567")
        assert gitea.repository.statuses(id_)[0].state == "inactive"

    def test_newest_is_first_although_times_are_whole_seconds(self, gitea: Server) -> None:
        id_ = gitea.repository.create(REQUEST).id
        for number in range(120):
            gitea.repository.post(id_, DeploymentStatus("in_progress", f"{number}"))
        found = [one.description for one in gitea.repository.statuses(id_)]
        assert found == [*map(str, reversed(range(120))), "Pulley: web"]

    def test_statuses_of_other_contexts_and_malformed_ones_are_left_out(
        self, gitea: Server
    ) -> None:
        id_ = gitea.repository.create(REQUEST).id
        gitea.api.add(COMMIT, "failure", context="ci/test")
        gitea.api.add(COMMIT, "success", context="pulley/staging")
        for wrong in ({"id": "9"}, {"created_at": "2030-01-31T12:00:00"}, {"created_at": None}):
            gitea.api.add(COMMIT, "success", context="pulley/production", **wrong)
        assert [one.state for one in gitea.repository.statuses(id_)] == ["queued"]

    @pytest.mark.parametrize("link", ["", "https://x.example/#nonsense", LOG, f"{LOG}#success"])
    @pytest.mark.parametrize(
        ("shown", "state"),
        [("pending", "in_progress"), ("failure", "failure"), ("warning", "inactive"), ("x", "x")],
    )
    def test_status_of_somebody_else_counts_by_its_state(
        self, gitea: Server, shown: str, state: str, link: str
    ) -> None:
        id_ = gitea.repository.create(REQUEST).id
        gitea.api.add(COMMIT, shown, context="pulley/production", target_url=link)
        assert gitea.repository.statuses(id_)[0].state == state

    def test_list_that_is_none_is_an_error(self, gitea: Server) -> None:
        gitea.http.script = lambda _request: answer(None)
        with pytest.raises(UnavailableError, match="cannot be read"):
            gitea.repository.find(REQUEST)

    @pytest.mark.parametrize(
        ("refusal", "error", "words"),
        [
            (
                answer({"message": "token does not have at least one of required scope(s)"}, 403),
                TokenError,
                "the scope write:repository, and its user the right to write",
            ),
            (
                answer({"message": "invalid username, password or token"}, 401),
                TokenError,
                "the token is not valid, or has expired",
            ),
            (answer({"message": "not found"}, 404), GoneError, "GitHub answered 404"),
            (answer({"message": "repository is archived"}, 423), NotTakenError, "archived"),
            (answer({"message": ""}, 500), UnavailableError, "not well"),
        ],
    )
    def test_refused_post_says_what_the_token_needs(
        self, gitea: Server, refusal: Raw, error: type[Exception], words: str
    ) -> None:
        gitea.api.refusal = refusal
        with pytest.raises(error, match=words.replace("(", r"\(")):
            gitea.repository.create(REQUEST)

    def test_refused_read_names_the_scope_to_read(self, gitea: Server) -> None:
        gitea.http.script = lambda _request: answer({"message": "no"}, 403)
        with pytest.raises(TokenError, match=r"read:repository, and its user the right to read$"):
            gitea.repository.find(REQUEST)


class TestReading:
    @pytest.mark.parametrize("name", ["main", "release/1.2", "a#b%c"])
    def test_head_is_the_id_of_the_branch_s_commit(self, gitea: Server, name: str) -> None:
        gitea.api.branches[name] = A.sha
        assert gitea.repository.head(Branch(name)) == A
        assert gitea.repository.head(Branch("other")) is None

    def test_commits_are_the_first_parents(self, gitea: Server) -> None:
        gitea.api.branches["main"] = A.sha
        gitea.api.parents = {A.sha: [B.sha, D.sha], B.sha: [C.sha], D.sha: [C.sha]}
        assert gitea.repository.commits(MAIN) == [A, B, C]
        query = parse_qs(urlsplit(gitea.http.requests[-1].target).query)
        left_out = {"stat": ["false"], "verification": ["false"], "files": ["false"]}
        assert query == {"sha": [A.sha], "limit": ["50"], **left_out}

    def test_merge_base_is_where_the_line_of_the_second_one_leaves_the_first(
        self, gitea: Server
    ) -> None:
        gitea.api.parents = {A.sha: [B.sha, E.sha], B.sha: [C.sha], D.sha: [C.sha]}
        assert gitea.repository.merge_base(D, A) == C
        assert gitea.repository.merge_base(B, A) == B
        assert gitea.repository.merge_base(A, B) == B
        assert gitea.repository.merge_base(A, A) == A
        assert f"/compare/{D.sha}...{A.sha}?stat=false&" in gitea.http.lines[0]

    def test_lines_without_a_common_commit_have_no_merge_base(self, gitea: Server) -> None:
        gitea.api.parents = {A.sha: [B.sha]}
        assert gitea.repository.merge_base(D, A) is None

    def test_server_that_cannot_compare_knows_no_merge_base(self, gitea: Server) -> None:
        gitea.api.can_compare = False
        assert gitea.repository.merge_base(A, B) is None

    @pytest.mark.parametrize(
        "content",
        [
            [],
            {},
            1,
            {"commits": 1},
            {"commits": [{"sha": B.sha, "parents": [{"sha": "x" * 40}]}]},
            {"commits": [{"sha": B.sha, "parents": [{"sha": C.sha}]}, 7]},
        ],
    )
    def test_comparison_that_cannot_be_read_is_an_error(
        self, gitea: Server, content: object
    ) -> None:
        gitea.http.script = lambda _request: answer(content)
        with pytest.raises(UnavailableError, match="cannot be read"):
            gitea.repository.merge_base(A, B)

    def test_highest_tags_that_fit_are_found_on_any_page(self, gitea: Server) -> None:
        gitea.api.tags = {f"x{number}": B.sha for number in range(120)}
        gitea.api.tags |= {"v1.9": C.sha, "v1.10-rc.1": D.sha, "v1.10": A.sha, "v": "odd"}
        found = gitea.repository.tags(TagGlob("v*"), releases=False)
        assert found == [
            TaggedCommit("v1.10", A),
            TaggedCommit("v1.10-rc.1", D),
            TaggedCommit("v1.9", C),
        ]
        assert len(gitea.http.requests) == 3
        assert len(gitea.repository.tags(TagGlob("x*"), releases=False)) == MOST_TAGS

    def test_only_tags_of_published_releases_count_if_asked(self, gitea: Server) -> None:
        gitea.api.tags = {"v3": A.sha, "v2": B.sha, "v1": C.sha}
        gitea.api.releases = [
            {"tag_name": "v3", "draft": False, "prerelease": True},
            {"tag_name": "v2", "draft": True, "prerelease": False},
            {"tag_name": "v1", "draft": False, "prerelease": False},
            {"tag_name": "v0", "draft": False, "prerelease": False},
        ]
        assert gitea.repository.tags(TagGlob("v*"), releases=True) == [TaggedCommit("v1", C)]
        assert gitea.repository.tags(TagGlob("x*"), releases=True) == []

    def test_deliveries_are_not_asked_for(self, gitea: Server) -> None:
        assert gitea.repository.failed_deliveries(NOW - timedelta(hours=1)) == []
        assert gitea.repository.attempts(1) == []
        assert gitea.http.requests == []


class TestFlows:
    """The flows with this edge: they converge, notify once, and post nothing twice."""

    @pytest.fixture
    def history(self) -> FakeHistory:
        return FakeHistory()

    @pytest.fixture
    def topic(self) -> FakeTopic:
        return FakeTopic()

    def sync(self, gitea: Server, history: FakeHistory, topic: FakeTopic) -> DeploymentSync:
        """The sync of a new process."""
        return DeploymentSync(
            stage=STAGE,
            parameters=FakeParameters(
                {NAMES.targets(SITE): targets_text(), NAMES.github_token: TOKEN}
            ),
            history=history,
            github=gitea.new_process().of,
            notifier=Notifier(STAGE, topic, FakeJournal(), lambda id_: f"https://console/{id_}"),
            journal=FakeJournal(),
            memory=Memory(),
        )

    def test_announcement_is_found_again_and_its_failure_is_posted(self, gitea: Server) -> None:
        prompt = PromptGitHub(gitea.forge, Deadline())
        cause = Cause(SITE, CommitSha(COMMIT), "push", NOW, token=TOKEN)
        (answered,), _ = prompt.open(cause, [REQUEST], seconds=20)
        (again,), _ = prompt.open(cause, [REQUEST], seconds=20)
        assert isinstance(answered, tuple)
        assert isinstance(again, tuple)
        assert (answered[1], again[1]) == (True, False)
        assert answered[0] == again[0]
        status = DeploymentStatus("error", "not sent to any host")
        assert prompt.post(cause, [(answered[0].id, status)], seconds=20) == [None]
        assert gitea.shown == [("pending", "Pulley: web"), ("error", "not sent to any host")]

    @pytest.mark.parametrize("output", [line_of(), rolled_back(COMMIT)], ids=["good", "bad"])
    def test_each_state_is_posted_and_notified_once(
        self, gitea: Server, history: FakeHistory, topic: FakeTopic, output: str
    ) -> None:
        deployment = gitea.repository.create(replace(REQUEST, environment="web"))
        command = command_of(COMMIT, 1, deployment=deployment.id)
        history.add(replace(command, status="InProgress", details="InProgress"), running(1))
        for _ in range(2):
            self.sync(gitea, history, topic).run(history.sent(1), now=NOW)
        history.add(replace(command, status="Success", details="Success"), on(1, output))
        for _ in range(3):
            status = self.sync(gitea, history, topic).run(history.sent(1), now=NOW)
        assert gitea.shown == [
            ("pending", "Pulley: web"),
            ("pending", "deploying 4d5e6f7 to 1 host"),
            (status.state, status.description),
        ]
        assert [one.attributes["state"] for one in topic.published] == [status.state]

    def test_replaced_commit_stays_green_and_says_so(
        self, gitea: Server, history: FakeHistory, topic: FakeTopic
    ) -> None:
        for number, commit in enumerate([COMMIT, A.sha], 1):
            command = command_of(commit, number)
            history.add(
                replace(command, status="Success", details="Success"), on(1, line_of(commit))
            )
            self.sync(gitea, history, topic).run(history.sent(number), now=NOW)
        late = self.sync(gitea, history, topic).run(history.sent(1), now=NOW)
        assert late == DeploymentStatus("inactive", "replaced by aaaaaaa")
        assert gitea.shown[-1] == ("success", "replaced by aaaaaaa")
        posted = len(gitea.shown)
        self.sync(gitea, history, topic).run(history.sent(1), now=NOW)
        assert len(gitea.shown) == posted

    def test_deployment_for_an_earlier_environment_is_left_alone(self, gitea: Server) -> None:
        old = gitea.repository.create(replace(REQUEST, environment="old"))
        roll_out = command_of(COMMIT, 1, deployment=old.id).roll_out
        here = gitea.new_process().of(SITE, TOKEN)
        found = find_or_create(here, roll_out, "web", stage=STAGE)
        assert (found.environment, found.commit) == ("web", COMMIT)
        assert [one["context"] for one in gitea.api.statuses[COMMIT]] == [
            "pulley/old",
            "pulley/web",
        ]
