"""GitHub's deployments, against a server on loopback: requests, and values from the answers."""

import json
from collections.abc import Mapping
from pathlib import Path
from subprocess import check_output, run
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.core.deployments import (
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    Links,
    NotGreen,
)
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github import GitHub, RepositoryDeployments
from chalicelib.edges.github_api import ConflictError, GitHubApi, GoneError, TokenError
from pulley.sandbox.github.server import GitHubServer as SandboxGitHub
from tests.edges.github_server import (
    ASKING,
    NOT_FOUND,
    PATH,
    REQUEST,
    STATUS,
    TOKEN,
    Api,
    deployment_of,
    said,
    shown,
    shown_status,
)
from tests.edges.scripted_server import Raw, answer
from tests.fakes import COMMIT, GUID, SITE, STAGE

pytestmark = pytest.mark.timeout(30)

OTHER_COMMIT = "1" * 40


class TestFind:
    def test_empty_list_gives_none(self, api: Api) -> None:
        assert api.deployments.find(REQUEST) is None

    def test_query_has_commit_and_environment(self, api: Api) -> None:
        api.deployments.find(REQUEST)
        assert api.query() == {"sha": [COMMIT], "environment": ["production"], "per_page": ["100"]}

    @pytest.mark.parametrize(
        "environment",
        ["eu west", "review/42", "prod & more?#=+%", "Zürich ☂ 東京", "a/b c", "'\"<>", "🚀"],
    )
    def test_environment_with_special_characters_is_quoted_in_the_query(
        self, api: Api, environment: str
    ) -> None:
        api.script(lambda _one: answer([shown(environment=environment)]))
        request = DeploymentRequest(CommitSha(COMMIT), environment, STAGE, "web", GUID)
        found = api.deployments.find(request)
        assert found
        assert found.environment == environment
        target = api.server.requests[0].target
        assert target.isascii()
        assert target.count("/") == PATH.count("/")
        assert "+" not in target
        assert api.query()["environment"] == [environment]
        list(api.deployments.newest(environment))
        assert api.query() == {"environment": [environment], "per_page": ["100"], "page": ["1"]}

    def test_lone_surrogate_is_sent_as_a_question_mark(self, api: Api) -> None:
        list(api.deployments.newest("\ud83d"))
        assert api.query()["environment"] == ["?"]

    @pytest.mark.parametrize(
        "payload", [REQUEST.payload, json.dumps(REQUEST.payload)], ids=["object", "string"]
    )
    def test_payload_may_be_an_object_or_text(self, api: Api, payload: object) -> None:
        api.answers(answer([shown(7, payload=payload)]))
        assert api.deployments.find(REQUEST) == deployment_of(7)

    @pytest.mark.parametrize("order", [[3, 9, 5], [9, 5, 3], [5, 3, 9]])
    def test_oldest_deployment_is_found_in_any_order(self, api: Api, order: list[int]) -> None:
        api.answers(answer([shown(number) for number in order]))
        assert api.deployments.find(REQUEST) == deployment_of(3)

    @pytest.mark.parametrize(
        "changes",
        [
            {"sha": OTHER_COMMIT},
            {"environment": "staging"},
            {"payload": REQUEST.payload | {"stage": "prod"}},
            {"payload": REQUEST.payload | {"target": "api"}},
            {"payload": {}},
            {"payload": ""},
            {"payload": "deployed by hand"},
            {"payload": None},
            {"payload": [REQUEST.payload]},
            {"payload": "[" * 100_000},
            {"payload": '"x"'},
            {"id": "1"},
            {"id": None},
            {"id": True},
            {"id": 1.0},
            {"created_at": "yesterday"},
            {"created_at": None},
            {"created_at": "2026-07-20T01:19:13"},
        ],
    )
    def test_other_or_malformed_deployment_is_ignored(
        self, api: Api, changes: dict[str, object]
    ) -> None:
        api.answers(answer([shown(1, **changes), shown(2)]))
        assert api.deployments.find(REQUEST) == deployment_of(2)

    @pytest.mark.parametrize("field", ["id", "sha", "environment", "payload", "created_at"])
    def test_deployment_without_a_field_is_ignored(self, api: Api, field: str) -> None:
        without = {name: value for name, value in shown(1).items() if name != field}
        api.answers(answer([without, None, "x", [], 5, shown(2)]))
        assert api.deployments.find(REQUEST) == deployment_of(2)

    def test_deployment_of_another_delivery_is_found(self, api: Api) -> None:
        api.answers(answer([shown(payload=REQUEST.payload | {"delivery": "another"})]))
        assert api.deployments.find(REQUEST) == deployment_of()

    @pytest.mark.parametrize("content", [{}, None, "x", 1, {"message": "x"}])
    def test_answer_that_is_not_a_list_is_unavailable(self, api: Api, content: object) -> None:
        api.answers(answer(content))
        for ask in (ASKING["find"], ASKING["newest"], ASKING["statuses"]):
            with pytest.raises(UnavailableError, match="cannot be read"):
                ask(api.deployments)


class TestCreate:
    def test_created_deployment_is_read_from_the_answer(self, api: Api) -> None:
        api.answers(answer(shown(3_000_000_019), 201))
        assert api.deployments.create(REQUEST) == deployment_of(3_000_000_019)

    def test_body_asks_for_this_commit_without_merging_or_waiting(self, api: Api) -> None:
        api.answers(answer(shown(), 201))
        api.deployments.create(REQUEST)
        (request,) = api.server.requests
        assert (request.method, request.target) == ("POST", PATH)
        assert request.headers["content-type"] == "application/json"
        assert request.json == {
            "ref": COMMIT,
            "auto_merge": False,
            "required_contexts": [],
            "environment": "production",
            "description": "Pulley: web",
            "payload": {"stage": STAGE, "target": "web", "delivery": GUID},
        }

    @pytest.mark.parametrize(
        "content", [{"message": "Auto-merged main into topic on deployment."}, {}, [], None]
    )
    def test_answer_without_a_deployment_is_unavailable(self, api: Api, content: object) -> None:
        api.answers(answer(content, 202))
        with pytest.raises(UnavailableError, match="cannot be read") as caught:
            api.deployments.create(REQUEST)
        assert caught.value.detail == "no deployment in it"

    @pytest.mark.parametrize("status", [409, 422])
    def test_rejected_request_raises_and_the_next_request_is_sent(
        self, api: Api, status: int
    ) -> None:
        api.answers(said("No ref found for: 4d5e6f7", status))
        for _ in range(2):
            with pytest.raises(NotTakenError, match="No ref found for") as caught:
                api.deployments.create(REQUEST)
            assert not caught.value.is_known
        assert api.calls == 2


def not_green(*contexts: object, **changes: object) -> Raw:
    """GitHub's 409, as people quote it: each check that was judged, with its state."""
    error = {
        "contexts": list(contexts),
        "resource": "Deployment",
        "field": "required_contexts",
        "code": "invalid",
    }
    content = {"message": f"Conflict: Commit status checks failed for {COMMIT}."}
    return answer(content | {"errors": [error]} | changes, 409)


def context(name: object, state: object) -> dict[str, object]:
    return {"context": name, "state": state}


class TestCreateIfGreen:
    """GitHub makes a deployment only if the commit's checks have passed."""

    def judge(self, api: Api, *checks: str) -> Deployment | NotGreen:
        return api.deployments.create_if_green(REQUEST, checks)

    def test_body_has_the_names_of_the_checks(self, api: Api) -> None:
        api.answers(answer(shown(7), 201))
        assert self.judge(api, "test", "lint / a") == deployment_of(7)
        assert api.server.requests[0].json["required_contexts"] == ["test", "lint / a"]

    def test_body_without_names_has_github_judge_every_check(self, api: Api) -> None:
        api.answers(answer(shown(7), 201))
        assert self.judge(api) == deployment_of(7)
        body = api.server.requests[0].json
        assert "required_contexts" not in body
        assert body["auto_merge"] is False

    def test_reason_names_the_checks_that_have_not_passed(self, api: Api) -> None:
        listed = context("test", "success"), context("lint", "pending"), context("e2e", "failure")
        api.answers(not_green(*listed))
        assert self.judge(api, "test", "lint", "e2e") == NotGreen("lint: pending, e2e: failure")

    def test_reason_names_five_checks_at_most(self, api: Api) -> None:
        api.answers(not_green(*(context(f"test {number}", "failure") for number in range(300))))
        outcome = self.judge(api)
        assert isinstance(outcome, NotGreen)
        assert outcome.reason.count("failure") == 5

    @pytest.mark.parametrize(
        "raw",
        [
            not_green(),
            not_green(context("test", "success")),
            not_green(errors=None),
            not_green(errors=[]),
            not_green(errors="Conflict"),
            not_green(errors=["required_contexts"]),
            not_green(errors=[{}]),
            not_green(errors=[{"contexts": None}]),
            not_green(errors=[{"contexts": ["test"]}]),
            not_green(errors=[{"contexts": {"test": "failure"}}]),
            not_green(errors={"contexts": [context("test", "failure")]}),
            not_green(errors=7),
            not_green(context(["test"], "failure")),
            not_green({"state": "failure"}),
            not_green({"context": "test"}),
            said("Conflict merging main into 4d5e6f7.", 409),
            answer(b"<html>Conflict</html>", 409),
            answer(b"[" * 100_000, 409),
        ],
    )
    def test_409_of_any_shape_is_not_green(self, api: Api, raw: Raw) -> None:
        api.answers(raw)
        assert self.judge(api, "test") == NotGreen("")

    def test_409_is_not_remembered_so_the_next_request_is_sent(self, api: Api) -> None:
        api.answers(not_green(context("test", "pending")), answer(shown(7), 201))
        assert self.judge(api, "test") == NotGreen("test: pending")
        assert self.judge(api, "test") == deployment_of(7)

    def test_token_that_a_proxy_echoes_is_in_no_error(self, api: Api) -> None:
        api.answers(said(f"Conflict for {TOKEN}", 409))
        with pytest.raises(ConflictError) as caught:
            api.deployments.create(REQUEST)
        assert TOKEN not in f"{caught.value!r}{caught.value.detail}"

    def test_deployment_of_another_commit_is_unavailable_and_not_green(self, api: Api) -> None:
        # A branch may have the commit's SHA as its name.
        api.answers(answer(shown(7, sha=OTHER_COMMIT), 201))
        with pytest.raises(UnavailableError, match="cannot be read") as caught:
            self.judge(api, "test")
        assert caught.value.detail == "a deployment of another commit"

    @pytest.mark.parametrize("status", [403, 404])
    def test_token_without_the_permission_is_an_error_and_not_green(
        self, api: Api, status: int
    ) -> None:
        api.answers(said("Resource not accessible by personal access token", status))
        with pytest.raises(TokenError, match="Deployments: write"):
            self.judge(api, "test")

    @pytest.mark.parametrize("status", [400, 405, 410, 422])
    def test_other_refusal_is_an_error_and_not_green(self, api: Api, status: int) -> None:
        api.answers(said("No ref found for: 4d5e6f7", status))
        with pytest.raises(NotTakenError, match=f"{status}"):
            self.judge(api, "test")

    @pytest.mark.parametrize("content", [{"message": "Auto-merged"}, {}, [], None, b"<html>"])
    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_answer_without_a_deployment_is_unavailable_and_not_green(
        self, api: Api, status: int, content: object
    ) -> None:
        api.answers(answer(content, status))
        with pytest.raises(UnavailableError, match="cannot be read"):
            self.judge(api, "test")


class TestDeployment:
    def test_deployment_is_requested_by_its_id(self, api: Api) -> None:
        api.answers(answer(shown(42)))
        assert api.deployments.deployment(42) == deployment_of(42)
        assert api.server.lines == [f"GET {PATH}/42"]

    def test_deleted_deployment_is_none_and_the_next_request_is_sent(self, api: Api) -> None:
        api.answers(NOT_FOUND)
        assert api.deployments.deployment(42) is None
        assert api.deployments.deployment(42) is None
        assert api.calls == 2

    @pytest.mark.parametrize("name", ["statuses", "post"])
    def test_status_call_for_a_deleted_deployment_raises_gone_error(
        self, api: Api, name: str
    ) -> None:
        api.answers(NOT_FOUND)
        for _ in range(2):
            with pytest.raises(GoneError):
                ASKING[name](api.deployments)
        assert api.calls == 2

    @pytest.mark.parametrize(
        "payload",
        [
            "by hand",
            "",
            '"x"',
            "7",
            "null",
            "[" * 100_000,
            "9" * 5_000,
            {},
            None,
            7,
            [REQUEST.payload],
            {"stage": "blue"},
            {"target": "web"},
            {"stage": 1, "target": 2},
            {"stage": None, "target": "web"},
        ],
    )
    def test_deployment_that_somebody_else_made_is_foreign(self, api: Api, payload: object) -> None:
        api.answers(answer(shown(payload=payload)))
        made = api.deployments.deployment(42)
        assert made
        assert made.is_foreign
        assert not made.answers(REQUEST)

    @pytest.mark.parametrize(
        "payload", [REQUEST.payload, json.dumps(REQUEST.payload)], ids=["object", "string"]
    )
    def test_deployment_that_pulley_made_is_not_foreign(self, api: Api, payload: object) -> None:
        api.answers(answer(shown(payload=payload)))
        made = api.deployments.deployment(42)
        assert made
        assert not made.is_foreign


class TestNewest:
    def test_readable_deployments_keep_the_order_of_github(self, api: Api) -> None:
        api.answers(answer([shown(9), shown(8, payload="by hand"), shown(3, payload={})]))
        found = api.deployments.newest("production")
        assert [(one.id, one.target) for one in found] == [(9, "web"), (8, ""), (3, "")]

    def pages(self, api: Api, sent: int) -> list[str]:
        """The requested pages if each page has `sent` deployments; three of them are unreadable."""
        unreadable = [shown(1, created_at="long ago"), {}, None]
        others = [shown(number) for number in range(sent - len(unreadable))]
        api.answers(answer([*unreadable, *others]))
        found = list(api.deployments.newest("production"))
        pages = [parse_qs(urlsplit(one.target).query)["page"][0] for one in api.server.requests]
        assert len(found) == len(pages) * len(others)
        return pages

    def test_page_that_github_did_not_fill_is_the_last(self, api: Api) -> None:
        assert self.pages(api, 99) == ["1"]

    def test_at_most_five_pages_are_read(self, api: Api) -> None:
        assert self.pages(api, 100) == ["1", "2", "3", "4", "5"]

    def test_page_is_requested_only_when_needed(self, api: Api) -> None:
        api.answers(answer([shown(number) for number in range(100)]))
        assert next(api.deployments.newest("production"))
        assert len(api.server.requests) == 1


class TestStatuses:
    def test_statuses_are_newest_first(self, api: Api) -> None:
        api.answers(answer([shown_status("success", "all"), shown_status("in_progress", None)]))
        assert api.deployments.statuses(42) == [
            DeploymentStatus("success", "all"),
            DeploymentStatus("in_progress", ""),
        ]
        assert api.server.lines == [f"GET {PATH}/42/statuses?per_page=100"]

    def test_malformed_statuses_are_ignored(self, api: Api) -> None:
        api.answers(answer([None, "success", {"state": []}, shown_status("success", {})]))
        assert api.deployments.statuses(42) == [
            DeploymentStatus("", ""),
            DeploymentStatus("success", ""),
        ]


class TestPost:
    def test_post_does_not_change_earlier_deployments(self, api: Api) -> None:
        api.answers(answer(shown_status("success"), 201))
        api.deployments.post(42, STATUS)
        (request,) = api.server.requests
        assert (request.method, request.target) == ("POST", f"{PATH}/42/statuses")
        assert request.json == {
            "state": "success",
            "description": STATUS.description,
            "auto_inactive": False,
        }

    def test_log_url_is_sent(self, api: Api) -> None:
        api.answers(answer(shown_status("success"), 201))
        api.deployments.post(42, STATUS, Links("https://console.example/x"))
        assert api.server.requests[0].json["log_url"] == "https://console.example/x"

    def test_environment_url_is_sent_alone(self, api: Api) -> None:
        api.answers(answer(shown_status("success"), 201))
        api.deployments.post(42, STATUS, Links(environment_url="https://site.example"))
        assert api.server.requests[0].json["environment_url"] == "https://site.example"
        assert "log_url" not in api.server.requests[0].json

    def test_description_beyond_ascii_is_sent(self, api: Api) -> None:
        api.answers(answer(shown_status("error"), 201))
        api.deployments.post(42, DeploymentStatus("error", "Zürich…"))
        assert api.server.requests[0].json["description"] == "Zürich…"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([1e999, -1e999, "2026-07-20T01:19:13Z", "0001-01-01T00:00:00+23:59", COMMIT])
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LIKE_A_DEPLOYMENT = st.builds(
    lambda changes, gone: {
        name: value for name, value in (shown() | changes).items() if name not in gone
    },
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("id", "sha", "environment", "payload", "created_at", "state"), JSON
        ),
    ),
    st.sets(st.sampled_from(["id", "sha", "payload"]), max_size=1),
)


class AnyAnswer(GitHubApi):
    """The transport without the network: it gives the bytes of one answer, quickly."""

    def __init__(self, content: bytes, status: int) -> None:
        super().__init__("https://api.github.com")
        self._answer: tuple[int, dict[str, str], bytes] = (status, {}, content)

    def _request(self, *_request: object) -> tuple[int, Mapping[str, str], bytes]:
        return self._answer


def answered(content: bytes, status: int) -> RepositoryDeployments:
    return RepositoryDeployments(AnyAnswer(content, status), SITE, TOKEN, Deadline())


class TestAnyAnswer:
    @given(
        content=JSON | LIKE_A_DEPLOYMENT | st.lists(LIKE_A_DEPLOYMENT | JSON, max_size=3),
        status=st.sampled_from([200, 200, 201, 302, 401, 403, 404, 422, 429, 500]),
    )
    def test_any_json_gives_a_value_or_a_pulley_error(self, content: object, status: int) -> None:
        for ask in ASKING.values():
            deployments = answered(json.dumps(content).encode(), status)
            try:
                found = ask(deployments)
            except PulleyError as error:
                assert TOKEN not in f"{error!r}{error.detail}"  # noqa: PT017
            else:
                for one in found if isinstance(found, list) else [found]:
                    if isinstance(one, Deployment):
                        assert type(one.id) is int
                        assert one.created.tzinfo
                        assert all(type(text) is str for text in (one.commit, one.stage))

    @given(content=st.binary(max_size=200))
    def test_any_bytes_give_a_value_or_a_pulley_error(self, content: bytes) -> None:
        for ask in ASKING.values():
            try:
                ask(answered(content, 200))
            except PulleyError:
                continue

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(content=JSON | st.lists(LIKE_A_DEPLOYMENT, max_size=3))
    def test_any_json_over_the_network_gives_a_value_or_unavailable(
        self, api: Api, content: object
    ) -> None:
        api.answers(answer(content))
        for ask in ASKING.values():
            try:
                ask(api.deployments)
            except UnavailableError:
                continue


class TestOnTheSandbox:
    """The sandbox's GitHub checks each request, and accepts all requests of the edge."""

    def test_deployment_is_created_found_and_gets_statuses(self, tmp_path: Path) -> None:
        repository = tmp_path / "site.git"
        git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
        run(["git", "init", "--quiet", "--bare", str(repository)], check=True)
        tree = check_output([*git, "mktree"], input=b"").decode().strip()
        sha = check_output([*git, "commit-tree", "-m", "x", tree]).decode().strip()
        run([*git, "update-ref", "refs/heads/main", sha], check=True)
        request = DeploymentRequest(CommitSha(sha), "Zürich / ☂", STAGE, "web", GUID)
        with SandboxGitHub({"octo/site": repository}, token=TOKEN) as sandbox:
            github = GitHub(sandbox.api_url)
            deployments = github.of(SITE, TOKEN)
            assert deployments.find(request) is None
            made = deployments.create(request)
            deployments.create(request)
            assert made.answers(request)
            assert deployments.find(request) == deployments.deployment(made.id) == made
            both = deployments.newest("Zürich / ☂")
            assert [one.answers(request) for one in both] == [True] * 2
            assert list(deployments.newest("elsewhere")) == []
            assert deployments.deployment(made.id - 1) is None
            begun = DeploymentStatus("in_progress", "deploying")
            deployments.post(made.id, begun)
            deployments.post(made.id, STATUS, Links("https://console.example/x"))
            assert deployments.statuses(made.id) == [STATUS, begun]
            with pytest.raises(TokenError, match="401"):
                github.of(SITE, "another").find(request)
            with pytest.raises(TokenError, match="404"):
                github.of(Repository("octo", "none"), TOKEN).find(request)
            github._pool.clear()
