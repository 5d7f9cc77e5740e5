"""GitHub's API for deployments, through HTTP: what it keeps, what it refuses, how it fails."""

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.util import SKIP_HEADER

from pulley.sandbox.github.server import Fault, GitHubServer, RecordedStatus
from tests.processes import HANG_SECONDS
from tests.sandbox.repository import TOKEN, Call, Commits, git

pytestmark = pytest.mark.timeout(30)

DEPLOYMENTS = "/repos/octo/site/deployments"
NO_COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOO_LONG = "x" * 141


@pytest.fixture
def create(call: Call) -> Callable[..., dict[str, Any]]:
    """Create a deployment as Pulley does."""

    def create_deployment(path: str = DEPLOYMENTS, **fields: object) -> dict[str, Any]:
        body = {"ref": "main", "auto_merge": False, "required_contexts": [], **fields}
        answer = call("POST", path, body)
        assert answer.status == 201, answer.data
        shown: dict[str, Any] = answer.json()
        return shown

    return create_deployment


Create = Callable[..., dict[str, Any]]


@pytest.fixture
def report(call: Call) -> Callable[..., dict[str, Any]]:
    """Give a deployment a status."""

    def create_status(
        deployment: dict[str, Any], state: str = "success", **fields: object
    ) -> dict[str, Any]:
        path = f"{DEPLOYMENTS}/{deployment['id']}/statuses"
        answer = call("POST", path, {"state": state, **fields})
        assert answer.status == 201, answer.data
        shown: dict[str, Any] = answer.json()
        return shown

    return create_status


Report = Callable[..., dict[str, Any]]


class TestGitHub:
    def test_given_port_is_the_one_it_serves_on(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with GitHubServer({}, token=TOKEN, port=port) as github:
            assert github.api_url == f"http://127.0.0.1:{port}"
            assert urllib3.request("GET", github.api_url).status == 401

    def test_port_in_use_is_an_error_for_the_caller(self, github: GitHubServer) -> None:
        port = int(github.api_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            GitHubServer({}, token=TOKEN, port=port)

    def test_requests_leave_no_line_behind(
        self, call: Call, create: Create, capfd: pytest.CaptureFixture[str]
    ) -> None:
        create()
        call("GET", "/nowhere")
        assert capfd.readouterr() == ("", "")

    def test_closed_one_answers_no_more(self, github: GitHubServer) -> None:
        address = ("127.0.0.1", int(github.api_url.rpartition(":")[2]))
        socket.create_connection(address).close()
        github.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

    def test_closing_twice_is_closing_once(self, github: GitHubServer) -> None:
        github.close()
        github.close()

    def test_requests_are_kept_in_order_as_they_came(
        self, github: GitHubServer, call: Call
    ) -> None:
        call("GET", DEPLOYMENTS, sha="abc", page=2)
        call("POST", "/nowhere", b"{ no JSON", headers={})
        assert github.requests == [
            ("GET", DEPLOYMENTS, "sha=abc&page=2", b""),
            ("POST", "/nowhere", "", b"{ no JSON"),
        ]
        assert [request.method for request in github.requests] == ["GET", "POST"]

    def test_many_at_once_lose_nothing(self, github: GitHubServer, create: Create) -> None:
        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ids = [deployment.id for deployment in github.deployments("octo/site")]
        assert len(set(ids)) == 8
        assert ids == sorted(ids)

    def test_fault_of_the_emulation_is_a_500_and_is_logged(
        self, github: GitHubServer, call: Call, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(method: str, path: str) -> None:
            raise RuntimeError("planned")

        github.fault = fail
        assert call("GET", DEPLOYMENTS).status == 500
        assert "planned" in caplog.text


class TestAccess:
    @pytest.mark.parametrize(
        "authorization",
        [None, "", "Bearer", "Bearer other", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"],
    )
    def test_missing_or_wrong_token_is_401(self, call: Call, authorization: str | None) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = call("GET", DEPLOYMENTS, headers=headers)
        assert answer.status == 401
        assert answer.json() == {
            "message": "Bad credentials",
            "documentation_url": "https://docs.github.com/rest",
            "status": "401",
        }

    def test_wrong_token_creates_nothing(self, github: GitHubServer, call: Call) -> None:
        body = {"ref": "main", "required_contexts": []}
        assert call("POST", DEPLOYMENTS, body, headers={}).status == 401
        assert github.deployments("octo/site") == ()

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "token"])
    def test_token_is_taken_under_both_its_names(self, call: Call, scheme: str) -> None:
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        assert call("GET", DEPLOYMENTS, headers=headers).status == 200

    def test_missing_user_agent_is_403_whatever_the_token(self, call: Call) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", "User-Agent": SKIP_HEADER}
        answer = call("GET", DEPLOYMENTS, headers=headers)
        assert answer.status == 403
        assert b"User-Agent" in answer.data

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/repos/octo/nothing/deployments"),
            ("POST", "/repos/octo/nothing/deployments"),
            ("GET", "/repos/octo/site/keys"),
            ("PUT", DEPLOYMENTS),
            ("GET", f"{DEPLOYMENTS}/1"),
            ("GET", f"{DEPLOYMENTS}/one"),
            ("GET", f"{DEPLOYMENTS}/1/statuses"),
            ("POST", f"{DEPLOYMENTS}/1/statuses"),
            ("GET", "/repos//octo/site/deployments"),
        ],
    )
    def test_unknown_place_is_404(self, call: Call, method: str, path: str) -> None:
        answer = call(method, path, {} if method == "POST" else None)
        assert answer.status == 404
        assert answer.json()["message"] == "Not Found"

    def test_names_case_does_not_matter(
        self, github: GitHubServer, call: Call, create: Create
    ) -> None:
        deployment = create("/repos/OCTO/SITE/deployments")
        assert call("GET", f"/repos/octo/sIte/deployments/{deployment['id']}").status == 200
        assert [one.id for one in github.deployments("oCtO/site")] == [deployment["id"]]

    def test_deployment_is_its_repositorys_only(
        self, github: GitHubServer, call: Call, create: Create
    ) -> None:
        deployment = create()
        assert call("GET", f"/repos/octo/other/deployments/{deployment['id']}").status == 404
        assert github.deployments("octo/other") == ()
        assert create("/repos/octo/other/deployments")["id"] > deployment["id"]

    @pytest.mark.parametrize("body", [b"{ no JSON", b"\xff", b"[", b"ref=main"])
    def test_body_that_is_no_json_is_400(self, call: Call, body: bytes) -> None:
        answer = call("POST", DEPLOYMENTS, body)
        assert (answer.status, answer.json()["message"]) == (400, "Problems parsing JSON")

    def test_body_that_is_no_object_is_400(self, call: Call) -> None:
        assert call("POST", DEPLOYMENTS, ["main"]).status == 400


class TestGetBranch:
    @pytest.mark.parametrize(
        ("path", "name", "tip"),
        [
            ("main", "main", "second"),
            ("feature/x", "feature/x", "ahead"),
            ("feature%2Fx", "feature/x", "ahead"),
        ],
    )
    def test_branch_is_its_name_and_its_commit(
        self, call: Call, commits: Commits, path: str, name: str, tip: str
    ) -> None:
        answer = call("GET", f"/repos/octo/site/branches/{path}")
        assert answer.status == 200
        assert answer.json()["name"] == name
        assert answer.json()["commit"]["sha"] == commits[tip]

    @pytest.mark.parametrize("name", ["none", "v1", "feature", "main~1", "main^0", "--help"])
    def test_what_is_no_branch_is_404(self, call: Call, name: str) -> None:
        assert call("GET", f"/repos/octo/site/branches/{name}").status == 404

    def test_branch_is_where_it_was_pushed_to_last(
        self, call: Call, repository: Path, commits: Commits
    ) -> None:
        git(repository, "update-ref", "refs/heads/main", commits["ahead"])
        answer = call("GET", "/repos/octo/site/branches/main")
        assert answer.json()["commit"]["sha"] == commits["ahead"]


class TestCreateDeployment:
    def test_answer_has_what_a_client_may_read(
        self, github: GitHubServer, create: Create, commits: Commits
    ) -> None:
        shown = create(
            ref=commits["second"],
            task="deploy:web",
            payload={"target": "web"},
            environment="staging",
            description="A line.",
            transient_environment=True,
        )
        url = f"{github.api_url}/repos/Octo/Site"
        number, made = shown["id"], shown["created_at"]
        assert number > 2**31
        assert datetime.fromisoformat(made) > datetime.now(UTC) - timedelta(minutes=1)
        assert shown.pop("creator")["login"]
        assert shown.pop("node_id")
        assert shown == {
            "id": number,
            "url": f"{url}/deployments/{number}",
            "sha": commits["second"],
            "ref": commits["second"],
            "task": "deploy:web",
            "payload": {"target": "web"},
            "environment": "staging",
            "original_environment": "staging",
            "description": "A line.",
            "created_at": made,
            "updated_at": made,
            "statuses_url": f"{url}/deployments/{number}/statuses",
            "repository_url": url,
            "transient_environment": True,
            "production_environment": False,
        }

    def test_nothing_but_a_ref_is_a_deployment_to_production(self, call: Call) -> None:
        answer = call("POST", DEPLOYMENTS, {"ref": "main"})
        assert answer.status == 201
        shown = answer.json()
        assert shown["environment"] == "production"
        assert shown["production_environment"] is True
        assert shown["transient_environment"] is False
        assert shown["task"] == "deploy"
        assert shown["description"] is None

    def test_null_is_as_good_as_absent(self, create: Create) -> None:
        shown = create(environment=None, description=None, production_environment=None)
        assert (shown["environment"], shown["production_environment"]) == ("production", True)

    def test_environment_may_be_production_under_another_name(self, create: Create) -> None:
        shown = create(environment="live", production_environment=True)
        assert shown["production_environment"] is True

    @pytest.mark.parametrize("payload", [{"target": {"name": "web"}}, {}, "text", '{"a": 1}', ""])
    def test_payload_is_kept_as_it_came(
        self, github: GitHubServer, create: Create, payload: object
    ) -> None:
        assert create(payload=payload)["payload"] == payload
        assert github.deployments("octo/site")[0].payload == payload

    @pytest.mark.parametrize(
        ("ref", "expected"),
        [
            ("main", "second"),
            ("feature/x", "ahead"),
            ("v1", "second"),
            ("refs/heads/main", "second"),
            ("refs/tags/v1", "second"),
        ],
    )
    def test_ref_is_a_branch_or_a_tag_and_sha_its_commit(
        self, create: Create, commits: Commits, ref: str, expected: str
    ) -> None:
        shown = create(ref=ref)
        assert (shown["ref"], shown["sha"]) == (ref, commits[expected])

    @pytest.mark.parametrize(
        "ref", ["none", NO_COMMIT, "main~1", "HEAD@{0}", "--all", "", "a\0b", "\ud800"]
    )
    def test_ref_that_git_does_not_know_is_422(
        self, github: GitHubServer, call: Call, ref: str
    ) -> None:
        answer = call("POST", DEPLOYMENTS, {"ref": ref})
        assert (answer.status, answer.json()["message"]) == (422, f"No ref found for: {ref}")
        assert github.deployments("octo/site") == ()

    @pytest.mark.parametrize("body", [{}, {"ref": None}, {"environment": "x"}, b""])
    def test_missing_ref_is_422(self, call: Call, body: object) -> None:
        answer = call("POST", DEPLOYMENTS, body)
        assert answer.status == 422
        assert answer.json()["errors"] == [
            {"resource": "Deployment", "field": "ref", "code": "missing_field"}
        ]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ref", 5),
            ("auto_merge", "false"),
            ("required_contexts", "none"),
            ("payload", ["web"]),
            ("environment", {"name": "x"}),
            ("description", True),
        ],
    )
    def test_field_of_another_type_is_422(
        self, github: GitHubServer, call: Call, name: str, value: object
    ) -> None:
        answer = call("POST", DEPLOYMENTS, {"ref": "main", name: value})
        assert answer.status == 422
        assert f"'properties/{name}'" in answer.json()["message"]
        assert github.deployments("octo/site") == ()

    def test_description_of_140_characters_is_the_longest(self, call: Call, create: Create) -> None:
        assert create(description="é" * 140)["description"] == "é" * 140
        answer = call("POST", DEPLOYMENTS, {"ref": "main", "description": TOO_LONG})
        assert (answer.status, answer.json()["message"]) == (422, "Validation Failed")
        assert answer.json()["errors"][0]["field"] == "description"

    @pytest.mark.parametrize("asked", [{}, {"auto_merge": True}])
    def test_commit_behind_the_default_branch_is_409(
        self, github: GitHubServer, call: Call, asked: dict[str, bool]
    ) -> None:
        body = {"ref": "behind", "required_contexts": [], **asked}
        answer = call("POST", DEPLOYMENTS, body)
        assert answer.status == 409
        assert answer.json()["message"] == "Conflict merging main into behind."
        assert github.deployments("octo/site") == ()

    def test_commit_behind_is_deployed_without_auto_merge(
        self, create: Create, commits: Commits
    ) -> None:
        assert create(ref=commits["first"], auto_merge=False)["sha"] == commits["first"]

    def test_commit_ahead_of_the_default_branch_needs_no_merge(self, create: Create) -> None:
        assert create(ref="feature/x", auto_merge=True)["ref"] == "feature/x"

    def test_commit_is_deployed_where_the_default_branch_is_not_there_yet(
        self, create: Create, repository: Path
    ) -> None:
        git(repository, "symbolic-ref", "HEAD", "refs/heads/trunk")
        assert create(ref="behind", auto_merge=True)["ref"] == "behind"

    def test_pending_context_is_409_unless_none_is_required(
        self, github: GitHubServer, call: Call, create: Create, commits: Commits
    ) -> None:
        github.pending_contexts = {commits["second"]}
        answer = call("POST", DEPLOYMENTS, {"ref": "main", "auto_merge": False})
        assert answer.status == 409
        assert answer.json()["message"] == "Conflict: Commit status checks failed for main."
        assert answer.json()["errors"][0]["field"] == "required_contexts"
        assert github.deployments("octo/site") == ()
        assert create(required_contexts=[])["ref"] == "main"

    def test_context_that_was_never_submitted_is_no_success(self, call: Call) -> None:
        answer = call("POST", DEPLOYMENTS, {"ref": "main", "required_contexts": ["ci/build"]})
        assert answer.status == 409


class TestListDeployments:
    def test_newest_comes_first(self, github: GitHubServer, call: Call, create: Create) -> None:
        first, second = create()["id"], create()["id"]
        answer = call("GET", DEPLOYMENTS)
        assert answer.status == 200
        assert [one["id"] for one in answer.json()] == [second, first]
        assert [one.id for one in github.deployments("octo/site")] == [first, second]

    def test_shows_each_as_it_is_alone(self, call: Call, create: Create) -> None:
        shown = create(payload={"a": [1]})
        assert call("GET", DEPLOYMENTS).json() == [shown]
        assert call("GET", f"{DEPLOYMENTS}/{shown['id']}").json() == shown

    @pytest.mark.parametrize("name", ["sha", "ref", "task", "environment"])
    def test_filter_leaves_those_that_fit(self, call: Call, create: Create, name: str) -> None:
        create(ref="main", payload={"is": "there"})
        wanted = create(ref="feature/x", task="other", environment="staging")
        shown = call("GET", DEPLOYMENTS, **{name: wanted[name]}).json()
        assert [one["id"] for one in shown] == [wanted["id"]]

    def test_filters_must_all_fit(self, call: Call, create: Create) -> None:
        create(environment="staging")
        assert call("GET", DEPLOYMENTS, environment="staging", ref="v1").json() == []

    def test_pages_link_to_each_other(
        self, github: GitHubServer, call: Call, create: Create
    ) -> None:
        ids = [create(environment="a b")["id"] for _ in range(5)][::-1]
        url = f"{github.api_url}{DEPLOYMENTS}?environment=a+b&per_page=2&page="
        links = []
        for page in (1, 2, 3):
            answer = call("GET", DEPLOYMENTS, environment="a b", per_page=2, page=page)
            assert [one["id"] for one in answer.json()] == ids[2 * page - 2 : 2 * page]
            links.append(answer.headers["Link"])
        assert links == [
            f'<{url}2>; rel="next", <{url}3>; rel="last"',
            (
                f'<{url}1>; rel="prev", <{url}1>; rel="first", '
                f'<{url}3>; rel="next", <{url}3>; rel="last"'
            ),
            f'<{url}2>; rel="prev", <{url}1>; rel="first"',
        ]

    def test_page_after_the_last_is_empty(self, call: Call, create: Create) -> None:
        create()
        assert call("GET", DEPLOYMENTS, page=7).json() == []

    @pytest.mark.parametrize(
        ("query", "expected"),
        [({}, 30), ({"per_page": 100}, 32), ({"per_page": 0}, 30), ({"per_page": "many"}, 30)],
    )
    def test_page_holds_30_unless_told(
        self, call: Call, create: Create, query: dict[str, object], expected: int
    ) -> None:
        for _ in range(32):
            create()
        answer = call("GET", DEPLOYMENTS, **query)
        assert len(answer.json()) == expected
        assert ("Link" in answer.headers) == (expected == 30)

    def test_page_holds_100_at_most(self, call: Call, create: Create) -> None:
        for _ in range(101):
            create()
        assert len(call("GET", DEPLOYMENTS, per_page=500).json()) == 100


class TestCreateStatus:
    def test_answer_has_what_a_client_may_read(
        self, github: GitHubServer, create: Create, report: Report
    ) -> None:
        deployment = create(environment="staging")
        log, web = "https://example.invalid/log", "http://example.invalid"
        shown = report(
            deployment, "in_progress", description="A.", log_url=log, environment_url=web
        )
        number, made = shown["id"], shown["created_at"]
        assert number > deployment["id"]
        assert shown.pop("creator")["login"]
        assert shown.pop("node_id")
        assert shown == {
            "id": number,
            "url": f"{deployment['statuses_url']}/{number}",
            "state": "in_progress",
            "description": "A.",
            "environment": "staging",
            "log_url": log,
            "target_url": log,
            "environment_url": web,
            "created_at": made,
            "updated_at": made,
            "deployment_url": deployment["url"],
            "repository_url": f"{github.api_url}/repos/Octo/Site",
        }

    def test_status_is_recorded_with_its_deployment(
        self, github: GitHubServer, create: Create, report: Report
    ) -> None:
        deployment = create()
        (before,) = github.deployments("octo/site")
        assert (before.state, before.status, before.statuses) == ("pending", None, ())
        report(deployment, "queued")
        shown = report(deployment, "failure", description="No.", log_url="https://a.invalid")
        (after,) = github.deployments("octo/site")
        assert [status.state for status in after.statuses] == ["queued", "failure"]
        assert after.state == "failure"
        assert after.status == after.statuses[-1]
        newest = after.statuses[-1]
        assert newest == RecordedStatus(
            shown["id"], "failure", "No.", "https://a.invalid", "production", newest.created_at
        )
        assert newest.created_at > after.created_at

    @pytest.mark.parametrize(
        "state", ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"]
    )
    def test_state_is_one_of_seven(self, create: Create, report: Report, state: str) -> None:
        assert report(create(), state)["state"] == state

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "state"),
            ({"state": "done"}, "state"),
            ({"state": "Success"}, "state"),
            ({"state": "success", "description": TOO_LONG}, "description"),
            ({"state": "success", "log_url": "ftp://a.invalid"}, "log_url"),
            ({"state": "success", "log_url": "/log"}, "log_url"),
            ({"state": "success", "log_url": "https://"}, "log_url"),
            ({"state": "success", "target_url": "log"}, "target_url"),
            ({"state": "success", "environment_url": "javascript:a"}, "environment_url"),
        ],
    )
    def test_field_that_does_not_fit_is_422(
        self, github: GitHubServer, call: Call, create: Create, body: object, field: str
    ) -> None:
        deployment = create()
        answer = call("POST", f"{DEPLOYMENTS}/{deployment['id']}/statuses", body)
        assert answer.status == 422
        assert answer.json()["errors"][0]["resource"] == "DeploymentStatus"
        assert answer.json()["errors"][0]["field"] == field
        assert github.deployments("octo/site")[0].statuses == ()

    def test_state_of_another_type_is_422(self, call: Call, create: Create) -> None:
        answer = call("POST", f"{DEPLOYMENTS}/{create()['id']}/statuses", {"state": 1})
        assert answer.status == 422

    def test_description_may_have_140_characters(self, create: Create, report: Report) -> None:
        assert report(create(), description="é" * 140)["description"] == "é" * 140

    def test_target_url_is_the_old_name_of_log_url(self, create: Create, report: Report) -> None:
        assert report(create(), target_url="HTTPS://a.invalid")["log_url"] == "HTTPS://a.invalid"

    def test_environment_may_change_with_a_status(
        self, call: Call, create: Create, report: Report
    ) -> None:
        deployment = create(environment="staging")
        report(deployment, "in_progress", environment="canary")
        assert report(deployment)["environment"] == "canary"
        shown = call("GET", f"{DEPLOYMENTS}/{deployment['id']}").json()
        assert shown["environment"] == "canary"
        assert shown["original_environment"] == "staging"

    def test_deployment_was_updated_when_its_newest_status_was_made(
        self, call: Call, create: Create, report: Report
    ) -> None:
        deployment = create()
        time.sleep(1.1)  # GitHub's times are whole seconds
        made = report(deployment)["created_at"]
        (shown,) = call("GET", DEPLOYMENTS).json()
        assert shown["created_at"] < shown["updated_at"] == made


class TestListStatuses:
    def test_newest_comes_first_in_pages(self, call: Call, create: Create, report: Report) -> None:
        deployment = create()
        shown = [report(deployment, state) for state in ("queued", "in_progress", "success")]
        path = f"{DEPLOYMENTS}/{deployment['id']}/statuses"
        assert call("GET", path).json() == shown[::-1]
        page = call("GET", path, per_page=2, page=2)
        assert page.json() == shown[:1]
        assert 'rel="prev"' in page.headers["Link"]


class TestAutoInactive:
    def states(self, github: GitHubServer) -> list[str]:
        return [deployment.state for deployment in github.deployments("octo/site")]

    def test_success_retires_the_success_before(
        self, github: GitHubServer, create: Create, report: Report
    ) -> None:
        for _ in range(2):
            report(create(environment="staging"))
        assert self.states(github) == ["inactive", "success"]
        retired, _ = github.deployments("octo/site")
        assert [status.state for status in retired.statuses] == ["success", "inactive"]

    @pytest.mark.parametrize("state", ["failure", "in_progress", "pending"])
    def test_only_a_success_retires(
        self, github: GitHubServer, create: Create, report: Report, state: str
    ) -> None:
        report(create(environment="staging"))
        report(create(environment="staging"), state)
        assert self.states(github) == ["success", state]

    @pytest.mark.parametrize("state", ["failure", "in_progress", "error"])
    def test_only_a_success_is_retired(
        self, github: GitHubServer, create: Create, report: Report, state: str
    ) -> None:
        report(create(environment="staging"), state)
        report(create(environment="staging"))
        assert self.states(github) == [state, "success"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"environment": "other"},
            {"transient_environment": True},
            {"production_environment": True},
        ],
    )
    def test_other_environment_transient_and_production_stay(
        self, github: GitHubServer, create: Create, report: Report, fields: dict[str, object]
    ) -> None:
        report(create(**{"environment": "staging", **fields}))
        report(create(environment="staging"))
        assert self.states(github) == ["success", "success"]

    def test_newer_deployment_stays(
        self, github: GitHubServer, create: Create, report: Report
    ) -> None:
        older, newer = create(environment="staging"), create(environment="staging")
        report(newer)
        report(older)
        assert self.states(github) == ["success", "success"]

    def test_other_repository_stays(
        self, github: GitHubServer, call: Call, create: Create, report: Report
    ) -> None:
        path = "/repos/octo/other/deployments"
        other = create(path, environment="staging")
        call("POST", f"{path}/{other['id']}/statuses", {"state": "success"})
        report(create(environment="staging"))
        assert [one.state for one in github.deployments("octo/other")] == ["success"]

    def test_false_retires_nothing(
        self, github: GitHubServer, create: Create, report: Report
    ) -> None:
        report(create(environment="staging"))
        report(create(environment="staging"), auto_inactive=False)
        assert self.states(github) == ["success", "success"]


class TestFault:
    def test_fault_is_the_answer_and_nothing_is_carried_out(
        self, github: GitHubServer, call: Call
    ) -> None:
        github.fault = lambda _method, _path: Fault(503, b"later", {"Retry-After": "7"})
        answer = call("POST", DEPLOYMENTS, {"ref": "main"})
        assert (answer.status, answer.data) == (503, b"later")
        assert answer.headers["Retry-After"] == "7"
        assert github.deployments("octo/site") == ()
        assert len(github.requests) == 1

    def test_fault_sees_method_and_path_and_may_let_through(
        self, github: GitHubServer, call: Call
    ) -> None:
        seen = []

        def fail_to_create(method: str, path: str) -> Fault | None:
            seen.append((method, path, len(github.requests), github.deployments("octo/site")))
            return Fault() if method == "POST" else None

        github.fault = fail_to_create
        assert call("GET", DEPLOYMENTS, page=2).status == 200
        assert call("POST", DEPLOYMENTS, {"ref": "main"}).status == 500
        assert seen == [("GET", DEPLOYMENTS, 1, ()), ("POST", DEPLOYMENTS, 2, ())]

    def test_fault_comes_before_the_token(self, github: GitHubServer, call: Call) -> None:
        github.fault = lambda _method, _path: Fault(502)
        assert call("GET", DEPLOYMENTS, headers={}).status == 502

    def test_lost_answer_leaves_the_deployment_there(
        self, github: GitHubServer, call: Call
    ) -> None:
        github.fault = lambda _method, _path: Fault(502, applied_first=True)
        answer = call("POST", DEPLOYMENTS, {"ref": "main"})
        assert (answer.status, answer.data) == (502, b"")
        assert [one.ref for one in github.deployments("octo/site")] == ["main"]

    def test_lost_refusal_is_the_fault_too(self, github: GitHubServer, call: Call) -> None:
        github.fault = lambda _method, _path: Fault(504, applied_first=True)
        assert call("POST", DEPLOYMENTS, {}).status == 504

    def test_silence_ends_with_the_answer(self, github: GitHubServer, call: Call) -> None:
        github.fault = lambda _method, _path: Fault(500, b"late", silent_seconds=0.3)
        began = time.monotonic()
        assert call("GET", DEPLOYMENTS).data == b"late"
        assert time.monotonic() - began >= 0.25

    def test_silence_outlasts_an_impatient_client(self, github: GitHubServer, call: Call) -> None:
        github.fault = lambda _method, _path: Fault(silent_seconds=2 * HANG_SECONDS)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            call("GET", DEPLOYMENTS, timeout=0.1)

    def test_silence_of_one_holds_up_no_other(self, github: GitHubServer, call: Call) -> None:
        held = threading.Event()

        def hold_first(_method: str, _path: str) -> Fault | None:
            if held.is_set():
                return None
            held.set()
            return Fault(silent_seconds=2 * HANG_SECONDS)

        github.fault = hold_first
        with self.waiting_client(github) as client:
            assert held.wait(HANG_SECONDS)
            assert call("GET", DEPLOYMENTS).status == 200
            client.setblocking(False)  # noqa: FBT003 - the socket's own
            with pytest.raises(BlockingIOError):
                client.recv(1)

    def waiting_client(self, github: GitHubServer) -> socket.socket:
        address = ("127.0.0.1", int(github.api_url.rpartition(":")[2]))
        client = socket.create_connection(address, timeout=HANG_SECONDS)
        client.sendall(f"GET {DEPLOYMENTS} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return client

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(silent_seconds=2 * HANG_SECONDS),
            Fault(silent_seconds=2 * HANG_SECONDS, applied_first=True),
            Fault(body=b"slow", drip_seconds=2 * HANG_SECONDS),
        ],
    )
    def test_closing_does_not_wait_for_what_is_held(
        self, github: GitHubServer, fault: Fault
    ) -> None:
        held = threading.Event()

        def hold(_method: str, _path: str) -> Fault:
            held.set()
            return fault

        github.fault = hold
        with self.waiting_client(github) as client:
            assert held.wait(HANG_SECONDS)
            began = time.monotonic()
            github.close()
            assert time.monotonic() - began < HANG_SECONDS
            received = b"".join(iter(lambda: client.recv(4096), b""))  # to the end
        assert time.monotonic() - began < HANG_SECONDS
        assert b"slow" not in received

    def test_answer_may_drip(self, github: GitHubServer, call: Call) -> None:
        github.fault = lambda _method, _path: Fault(200, b"[1,2]", drip_seconds=0.1)
        began = time.monotonic()
        # Each byte comes in time for a client that watches the clock for each read alone.
        answer = call("GET", DEPLOYMENTS, timeout=HANG_SECONDS)
        assert answer.data == b"[1,2]"
        assert time.monotonic() - began >= 0.4

    def test_fault_that_is_taken_away_is_over(self, github: GitHubServer, call: Call) -> None:
        github.fault = lambda _method, _path: Fault()
        assert call("GET", DEPLOYMENTS).status == 500
        github.fault = None
        assert call("GET", DEPLOYMENTS).status == 200
