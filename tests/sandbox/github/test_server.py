"""GitHub's API for deployments, through HTTP: records, refusals and faults."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.util import SKIP_HEADER

from pulley.sandbox.github.server import Fault, GitHubServer, RecordedStatus
from tests.processes import HANG_SECONDS
from tests.sandbox.github.shapes import BRANCH, REPOSITORY, check_shape
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


class TestServer:
    def test_server_uses_the_given_port_until_it_is_closed(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with GitHubServer({}, token=TOKEN, port=port) as github:
            assert github.api_url == f"http://127.0.0.1:{port}"
            assert urllib3.request("GET", github.api_url).status == 401
            with pytest.raises(OSError, match="in use"):
                GitHubServer({}, token=TOKEN, port=port)
        github.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    def test_requests_are_recorded_in_order_and_print_nothing(
        self, github: GitHubServer, call: Call, capfd: pytest.CaptureFixture[str]
    ) -> None:
        call("GET", DEPLOYMENTS, sha="abc", page=2)
        call("POST", "/nowhere", b"{ no JSON", headers={})
        assert github.requests == [
            ("GET", DEPLOYMENTS, "sha=abc&page=2", b""),
            ("POST", "/nowhere", "", b"{ no JSON"),
        ]
        assert capfd.readouterr() == ("", "")

    def test_parallel_requests_each_create_a_deployment(
        self, github: GitHubServer, create: Create
    ) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = [one["id"] for one in pool.map(lambda _: create(), range(8))]
        ids = [deployment.id for deployment in github.deployments("octo/site")]
        assert ids == sorted(set(made))
        assert len(ids) == 8

    def test_exception_in_the_emulation_is_a_500_and_is_logged(
        self, github: GitHubServer, call: Call, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(method: str, path: str) -> None:
            raise RuntimeError("planned")

        github.fault = fail
        assert call("GET", DEPLOYMENTS).status == 500
        assert "planned" in caplog.text


class TestAccess:
    @pytest.mark.parametrize(
        "authorization", [None, "", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
    )
    def test_missing_or_wrong_token_is_401_and_creates_nothing(
        self, github: GitHubServer, call: Call, authorization: str | None
    ) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = call("POST", DEPLOYMENTS, {"ref": "main"}, headers=headers)
        assert answer.status == 401
        assert answer.json() == {
            "message": "Bad credentials",
            "documentation_url": "https://docs.github.com/rest",
            "status": "401",
        }
        assert github.deployments("octo/site") == ()

    def test_token_needs_a_known_scheme_and_a_user_agent(self, call: Call) -> None:
        for scheme in ("Bearer", "bearer", "token"):
            headers = {"Authorization": f"{scheme} {TOKEN}"}
            assert call("GET", DEPLOYMENTS, headers=headers).status == 200
        answer = call("GET", DEPLOYMENTS, headers=headers | {"User-Agent": SKIP_HEADER})
        assert (answer.status, b"User-Agent" in answer.data) == (403, True)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
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
    def test_unknown_path_is_404(self, call: Call, method: str, path: str) -> None:
        answer = call(method, path, {} if method == "POST" else None)
        assert (answer.status, answer.json()["message"]) == (404, "Not Found")

    def test_deployment_belongs_to_one_repository_in_any_case_of_its_name(
        self, github: GitHubServer, call: Call, create: Create
    ) -> None:
        id_ = create("/repos/OCTO/SITE/deployments")["id"]
        assert call("GET", f"/repos/octo/sIte/deployments/{id_}").status == 200
        assert [one.id for one in github.deployments("oCtO/site")] == [id_]
        assert call("GET", f"/repos/octo/other/deployments/{id_}").status == 404
        assert github.deployments("octo/other") == ()
        assert create("/repos/octo/other/deployments")["id"] > id_

    @pytest.mark.parametrize("body", [b"{ no JSON", b"\xff", b"ref=main", b'["main"]'])
    def test_body_that_is_not_a_json_object_is_400(self, call: Call, body: bytes) -> None:
        assert call("POST", DEPLOYMENTS, body).status == 400


class TestGetBranch:
    def test_branch_has_its_name_and_current_commit(
        self, call: Call, repository: Path, commits: Commits
    ) -> None:
        for path in ("feature/x", "feature%2Fx"):
            shown = call("GET", f"/repos/octo/site/branches/{path}").json()
            assert (shown["name"], shown["commit"]["sha"]) == ("feature/x", commits["ahead"])
        for tip in ("second", "ahead"):
            git(repository, "update-ref", "refs/heads/main", commits[tip])
            shown = call("GET", "/repos/octo/site/branches/main").json()
            assert (shown["name"], shown["commit"]["sha"]) == ("main", commits[tip])

    @pytest.mark.parametrize("name", ["none", "v1", "feature", "main~1", "main^0", "--help"])
    def test_name_of_no_branch_is_404(self, call: Call, name: str) -> None:
        assert call("GET", f"/repos/octo/site/branches/{name}").status == 404

    def test_answer_has_the_fields_of_a_branch(self, call: Call, commits: Commits) -> None:
        check_shape(call("GET", "/repos/octo/site/branches/main").json(), BRANCH)


class TestGetRepository:
    def test_answer_has_the_fields_of_a_repository(self, call: Call) -> None:
        check_shape(call("GET", "/repos/octo/site").json(), REPOSITORY)


class TestCreateDeployment:
    def test_answer_has_all_fields_of_a_deployment(
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

    @pytest.mark.parametrize(
        "fields", [{}, {"environment": None, "description": None, "production_environment": None}]
    )
    def test_deployment_with_only_a_ref_is_to_production(
        self, create: Create, fields: dict[str, object]
    ) -> None:
        shown = create(**fields)
        assert (shown["environment"], shown["task"]) == ("production", "deploy")
        assert (shown["production_environment"], shown["transient_environment"]) == (True, False)
        assert shown["description"] is None

    @pytest.mark.parametrize("payload", [{"target": {"name": "web"}}, {}, "text", '{"a": 1}', ""])
    def test_payload_is_kept_unchanged(
        self, github: GitHubServer, create: Create, payload: object
    ) -> None:
        assert create(payload=payload)["payload"] == payload
        assert github.deployments("octo/site")[0].payload == payload

    def test_ref_may_be_a_branch_or_a_tag_and_sha_is_its_commit(
        self, create: Create, commits: Commits
    ) -> None:
        refs = ("main", "feature/x", "v1", "refs/heads/main", "refs/tags/v1")
        tips = {"feature/x": "ahead"}
        for ref in refs:
            shown = create(ref=ref)
            assert (shown["ref"], shown["sha"]) == (ref, commits[tips.get(ref, "second")])

    @pytest.mark.parametrize(
        "ref", ["none", NO_COMMIT, "main~1", "HEAD@{0}", "--all", "", "a\0b", "\ud800"]
    )
    def test_ref_that_git_does_not_know_is_422(
        self, github: GitHubServer, call: Call, ref: str
    ) -> None:
        answer = call("POST", DEPLOYMENTS, {"ref": ref})
        assert (answer.status, answer.json()["message"]) == (422, f"No ref found for: {ref}")
        assert github.deployments("octo/site") == ()

    @pytest.mark.parametrize("body", [{"ref": None}, b""])
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

    def test_commit_behind_the_default_branch_is_409_unless_auto_merge_is_off(
        self, github: GitHubServer, call: Call, create: Create, repository: Path
    ) -> None:
        for asked in ({}, {"auto_merge": True}):
            answer = call("POST", DEPLOYMENTS, {"ref": "behind", **asked})
            assert answer.status == 409
            assert answer.json()["message"] == "Conflict merging main into behind."
        assert github.deployments("octo/site") == ()
        assert create(ref="behind", auto_merge=False)["ref"] == "behind"
        assert create(ref="feature/x", auto_merge=True)["ref"] == "feature/x"
        git(repository, "symbolic-ref", "HEAD", "refs/heads/trunk")  # a branch that does not exist
        assert create(ref="behind", auto_merge=True)["ref"] == "behind"

    def test_required_context_without_a_status_is_409(
        self, github: GitHubServer, call: Call
    ) -> None:
        answer = call("POST", DEPLOYMENTS, {"ref": "main", "required_contexts": ["ci/build"]})
        assert answer.status == 409
        assert answer.json()["message"] == "Conflict: Commit status checks failed for main."
        assert answer.json()["errors"][0]["field"] == "required_contexts"
        assert github.deployments("octo/site") == ()


class TestListDeployments:
    def test_list_has_the_newest_first_and_each_as_read_by_its_id(
        self, github: GitHubServer, call: Call, create: Create
    ) -> None:
        first, second = create(payload={"a": [1]}), create()
        answer = call("GET", DEPLOYMENTS)
        assert (answer.status, answer.json()) == (200, [second, first])
        assert [one.id for one in github.deployments("octo/site")] == [first["id"], second["id"]]
        assert call("GET", f"{DEPLOYMENTS}/{first['id']}").json() == first

    def test_deployment_must_match_all_filters(self, call: Call, create: Create) -> None:
        create(ref="main", payload={"is": "there"})
        wanted = create(ref="feature/x", task="other", environment="staging")
        for name in ("sha", "ref", "task", "environment"):
            assert call("GET", DEPLOYMENTS, **{name: wanted[name]}).json() == [wanted]
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
        assert call("GET", DEPLOYMENTS, page=7).json() == []

    def test_page_has_30_by_default_and_100_at_most(self, call: Call, create: Create) -> None:
        for _ in range(101):
            create()
        for query, expected in ({}, 30), ({"per_page": 0}, 30), ({"per_page": "many"}, 30):
            assert len(call("GET", DEPLOYMENTS, **query).json()) == expected
        assert len(call("GET", DEPLOYMENTS, per_page=500).json()) == 100
        assert "Link" not in call("GET", DEPLOYMENTS, environment="none").headers


class TestStatuses:
    def test_answer_has_all_fields_of_a_status(
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
        shown = report(deployment, "failure", description="é" * 140, log_url="https://a.invalid")
        (after,) = github.deployments("octo/site")
        assert [status.state for status in after.statuses] == ["queued", "failure"]
        assert after.state == "failure"
        newest = after.statuses[-1]
        assert after.status == newest
        assert newest == RecordedStatus(
            shown["id"],
            "failure",
            "é" * 140,
            "https://a.invalid",
            "production",
            newest.created_at,
        )
        assert newest.created_at > after.created_at

    def test_all_seven_states_are_listed_newest_first_in_pages(
        self, call: Call, create: Create, report: Report
    ) -> None:
        deployment = create()
        states = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
        shown = [report(deployment, state) for state in states]
        assert tuple(one["state"] for one in shown) == states
        path = f"{DEPLOYMENTS}/{deployment['id']}/statuses"
        assert call("GET", path).json() == shown[::-1]
        page = call("GET", path, per_page=4, page=2)
        assert page.json() == shown[2::-1]
        assert 'rel="prev"' in page.headers["Link"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "state"),
            ({"state": "done"}, "state"),
            ({"state": "success", "description": TOO_LONG}, "description"),
            ({"state": "success", "log_url": "ftp://a.invalid"}, "log_url"),
            ({"state": "success", "log_url": "https://"}, "log_url"),
            ({"state": "success", "target_url": "log"}, "target_url"),
            ({"state": "success", "environment_url": "javascript:a"}, "environment_url"),
        ],
    )
    def test_invalid_field_is_422(
        self, github: GitHubServer, call: Call, create: Create, body: object, field: str
    ) -> None:
        deployment = create()
        answer = call("POST", f"{DEPLOYMENTS}/{deployment['id']}/statuses", body)
        assert answer.status == 422
        assert answer.json()["errors"][0]["resource"] == "DeploymentStatus"
        assert answer.json()["errors"][0]["field"] == field
        assert github.deployments("octo/site")[0].statuses == ()

    def test_target_url_is_the_old_name_of_log_url(self, create: Create, report: Report) -> None:
        assert report(create(), target_url="HTTPS://a.invalid")["log_url"] == "HTTPS://a.invalid"

    def test_environment_may_change_with_a_status(
        self, call: Call, create: Create, report: Report
    ) -> None:
        deployment = create(environment="staging")
        report(deployment, "in_progress", environment="canary")
        assert report(deployment)["environment"] == "canary"
        shown = call("GET", f"{DEPLOYMENTS}/{deployment['id']}").json()
        assert (shown["environment"], shown["original_environment"]) == ("canary", "staging")

    def test_updated_at_is_the_time_of_the_newest_status(
        self, call: Call, create: Create, report: Report
    ) -> None:
        deployment = create()
        time.sleep(1.1)  # GitHub's times are whole seconds
        made = report(deployment)["created_at"]
        (shown,) = call("GET", DEPLOYMENTS).json()
        assert shown["created_at"] < shown["updated_at"] == made


class TestAutoInactive:
    @pytest.mark.parametrize(
        ("before", "after", "states"),
        [
            ("success", "success", ["inactive", "success"]),
            ("success", "failure", ["success", "failure"]),
            ("failure", "success", ["failure", "success"]),
        ],
    )
    def test_only_a_success_makes_an_older_success_inactive(
        self,
        github: GitHubServer,
        create: Create,
        report: Report,
        before: str,
        after: str,
        states: list[str],
    ) -> None:
        older, newer = create(environment="staging"), create(environment="staging")
        report(older, before)
        report(newer, after)
        assert [one.state for one in github.deployments("octo/site")] == states

    def test_auto_inactive_spares_other_environments_newer_ones_and_opt_outs(
        self, github: GitHubServer, call: Call, create: Create, report: Report
    ) -> None:
        other = create("/repos/octo/other/deployments", environment="staging")
        path = f"/repos/octo/other/deployments/{other['id']}/statuses"
        call("POST", path, {"state": "success"})
        report(create(environment="other"))
        report(create(environment="staging", transient_environment=True))
        report(create(environment="staging", production_environment=True))
        older, newer = create(environment="staging"), create(environment="staging")
        report(newer)
        report(older)
        report(create(environment="staging"), auto_inactive=False)
        for name in ("octo/site", "octo/other"):
            assert {one.state for one in github.deployments(name)} == {"success"}


class TestFault:
    def test_fault_is_the_answer_until_it_is_removed_and_nothing_is_created(
        self, github: GitHubServer, call: Call
    ) -> None:
        github.fault = lambda _method, _path: Fault(503, b"later", {"Retry-After": "7"})
        answer = call("POST", DEPLOYMENTS, {"ref": "main"}, headers={})
        assert (answer.status, answer.data) == (503, b"later")
        assert answer.headers["Retry-After"] == "7"
        assert github.deployments("octo/site") == ()
        assert len(github.requests) == 1
        github.fault = None
        assert call("GET", DEPLOYMENTS).status == 200

    def test_fault_function_gets_method_and_path_and_may_return_none(
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

    def test_request_with_a_lost_answer_creates_the_deployment(
        self, github: GitHubServer, call: Call
    ) -> None:
        github.fault = lambda _method, _path: Fault(502, applied_first=True)
        for body in ({"ref": "main"}, {}):  # a refusal can be lost too
            answer = call("POST", DEPLOYMENTS, body)
            assert (answer.status, answer.data) == (502, b"")
        assert [one.ref for one in github.deployments("octo/site")] == ["main"]

    def test_silence_ends_with_the_answer_or_the_client_s_time_out(
        self, github: GitHubServer, call: Call
    ) -> None:
        github.fault = lambda _method, _path: Fault(500, b"late", silent_seconds=0.3)
        began = time.monotonic()
        assert call("GET", DEPLOYMENTS).data == b"late"
        assert time.monotonic() - began >= 0.25
        github.fault = lambda _method, _path: Fault(silent_seconds=2 * HANG_SECONDS)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            call("GET", DEPLOYMENTS, timeout=0.1)

    def test_silent_request_delays_no_other_request(self, github: GitHubServer, call: Call) -> None:
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
        client.sendall(f"GET {DEPLOYMENTS} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return client

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(silent_seconds=2 * HANG_SECONDS),
            Fault(silent_seconds=2 * HANG_SECONDS, applied_first=True),
            Fault(body=b"slow", drip_seconds=2 * HANG_SECONDS),
        ],
    )
    def test_closing_does_not_wait_for_silent_or_slow_answers(
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
            received = b"".join(iter(lambda: client.recv(4096), b""))  # until the end of the stream
        assert time.monotonic() - began < HANG_SECONDS
        assert b"slow" not in received

    def test_slow_answer_arrives_byte_by_byte(self, github: GitHubServer, call: Call) -> None:
        github.fault = lambda _method, _path: Fault(200, b"[1,2]", drip_seconds=0.1)
        began = time.monotonic()
        # Each byte arrives before the time-out of a client that limits only each read.
        answer = call("GET", DEPLOYMENTS, timeout=HANG_SECONDS)
        assert answer.data == b"[1,2]"
        assert time.monotonic() - began >= 0.4
