"""A token's permissions, expiry and rate limit, and GitHub's record of the repository."""

from datetime import UTC, datetime, timedelta

import pytest

from pulley.sandbox.github.server import GitHubServer
from tests.sandbox.repository import Call

SITE = "/repos/octo/site"
DEPLOYMENTS = f"{SITE}/deployments"
HOOKS = f"{SITE}/hooks"
CREATE = {"ref": "main", "auto_merge": False}


class TestPermissions:
    @pytest.mark.parametrize(
        ("lost", "method", "path", "needed"),
        [
            ("contents", "GET", f"{SITE}/branches/main", "contents=read"),
            ("contents", "GET", f"{SITE}/commits", "contents=read"),
            ("contents", "GET", f"{SITE}/compare/main...behind", "contents=read"),
            ("deployments", "GET", DEPLOYMENTS, "deployments=read"),
            ("deployments", "POST", DEPLOYMENTS, "deployments=write"),
            ("webhooks", "GET", HOOKS, "repository_hooks=read"),
            ("webhooks", "POST", HOOKS, "repository_hooks=write"),
            ("webhooks", "PATCH", f"{HOOKS}/1/config", "repository_hooks=write"),
            ("webhooks", "POST", f"{HOOKS}/1/pings", "repository_hooks=read"),
            ("webhooks", "POST", f"{HOOKS}/1/deliveries/1/attempts", "repository_hooks=write"),
        ],
    )
    def test_request_without_its_permission_is_403_and_names_the_permission(
        self, github: GitHubServer, call: Call, lost: str, method: str, path: str, needed: str
    ) -> None:
        before = call(method, path, {} if method != "GET" else None)
        assert before.status != 403
        assert before.headers["X-Accepted-GitHub-Permissions"] == needed
        del github.permissions[lost]
        answer = call(method, path, {} if method != "GET" else None)
        assert answer.status == 403
        assert answer.json()["message"] == "Resource not accessible by personal access token"
        assert answer.json()["status"] == "403"
        assert answer.headers["X-Accepted-GitHub-Permissions"] == needed

    @pytest.mark.parametrize(
        ("name", "method", "path", "level"),
        [
            ("statuses", "POST", f"{SITE}/statuses/{'0' * 40}", "write"),
            ("statuses", "GET", f"{SITE}/commits/main/status", "read"),
            ("checks", "POST", f"{SITE}/check-runs", "write"),
            ("checks", "PATCH", f"{SITE}/check-runs/1", "write"),
            ("checks", "GET", f"{SITE}/commits/main/check-runs", "read"),
        ],
    )
    def test_token_of_pulley_s_may_neither_read_nor_write_checks(
        self, github: GitHubServer, call: Call, name: str, method: str, path: str, level: str
    ) -> None:
        body = b"{}" if method != "GET" else None
        answer = call(method, path, body)
        assert answer.status == 403
        assert answer.headers["X-Accepted-GitHub-Permissions"] == f"{name}={level}"
        github.permissions[name] = level
        assert call(method, path, body).status != 403

    @pytest.mark.parametrize(
        ("name", "path", "body"),
        [
            ("deployments", DEPLOYMENTS, CREATE),
            ("webhooks", HOOKS, {"config": {"url": "https://x.example/"}}),
        ],
    )
    def test_read_permission_does_not_allow_writing(
        self, github: GitHubServer, call: Call, name: str, path: str, body: object
    ) -> None:
        github.permissions[name] = "read"
        assert call("GET", path).status == 200
        assert call("POST", path, body).status == 403
        assert (github.deployments("octo/site"), github.hooks("octo/site")) == ((), [])
        github.permissions[name] = "write"
        assert call("POST", path, body).status == 201

    def test_missing_permission_does_not_affect_other_requests(
        self, github: GitHubServer, call: Call
    ) -> None:
        del github.permissions["webhooks"]
        assert call("GET", DEPLOYMENTS).status == 200
        assert call("GET", f"{SITE}/branches/main").status == 200

    def test_repository_outside_the_token_is_404(self, github: GitHubServer, call: Call) -> None:
        github.permissions.clear()
        for path in (SITE, DEPLOYMENTS, HOOKS):
            answer = call("GET", path)
            assert (answer.status, answer.json()["message"]) == (404, "Not Found")


class TestToken:
    HEADER = "github-authentication-token-expiration"

    def test_token_without_expiry_has_no_expiration_header(self, call: Call) -> None:
        assert self.HEADER not in call("GET", SITE).headers

    def test_token_with_expiry_has_an_expiration_header(
        self, github: GitHubServer, call: Call
    ) -> None:
        github.token_expires = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert call("GET", SITE).headers[self.HEADER] == "2099-01-02 03:04:05 UTC"
        assert call("GET", "/nowhere").headers[self.HEADER] == "2099-01-02 03:04:05 UTC"

    def test_expired_token_is_401(self, github: GitHubServer, call: Call) -> None:
        github.token_expires = datetime.now(UTC) - timedelta(seconds=1)
        answer = call("GET", SITE)
        assert (answer.status, answer.json()["message"]) == (401, "Bad credentials")

    def test_only_the_renewed_token_is_accepted(self, github: GitHubServer, call: Call) -> None:
        github.token = "another"
        assert call("GET", SITE).status == 401
        assert call("GET", SITE, headers={"Authorization": "Bearer another"}).status == 200


class TestRateLimit:
    def test_each_answer_has_the_remaining_requests(self, call: Call) -> None:
        first, second = call("GET", SITE).headers, call("GET", "/nowhere").headers
        assert (first["X-RateLimit-Limit"], first["X-RateLimit-Resource"]) == ("5000", "core")
        assert (first["X-RateLimit-Used"], second["X-RateLimit-Used"]) == ("1", "2")
        assert (first["X-RateLimit-Remaining"], second["X-RateLimit-Remaining"]) == ("4999", "4998")
        assert int(first["X-RateLimit-Reset"]) > datetime.now(UTC).timestamp()


class TestRepository:
    def test_repository_has_its_name_default_branch_and_permissions(self, call: Call) -> None:
        shown = call("GET", SITE).json()
        assert (shown["full_name"], shown["name"]) == ("Octo/Site", "Site")
        assert (shown["default_branch"], shown["private"]) == ("main", True)
        assert (shown["archived"], shown["permissions"]["admin"]) == (False, True)
