"""Commit statuses through GitHub's API: records, what they say together, refusals."""

import pytest

from pulley.sandbox.github.server import GitHubServer
from tests.sandbox.github.conftest import Submit
from tests.sandbox.github.shapes import COMBINED_STATUS, STATUS, check_shape
from tests.sandbox.repository import Call, Commits

pytestmark = pytest.mark.timeout(30)

SITE = "/repos/octo/site"
COMBINED = f"{SITE}/commits/main/status"
NO_COMMIT = "0123456789abcdef0123456789abcdef01234567"


class TestCreate:
    def test_answer_has_the_fields_of_a_status(
        self, ci: GitHubServer, set_status: Submit, commits: Commits
    ) -> None:
        link = "https://ci.example/1"
        shown = set_status("ci/build", "success", description="é" * 140, target_url=link)
        check_shape(shown, STATUS)
        assert (shown["context"], shown["state"]) == ("ci/build", "success")
        assert (shown["description"], shown["target_url"]) == ("é" * 140, link)
        assert shown["url"] == f"{ci.api_url}/repos/Octo/Site/statuses/{commits['second']}"

    def test_status_with_only_a_state_is_of_the_context_default(
        self, ci: GitHubServer, call: Call, commits: Commits
    ) -> None:
        shown = call("POST", f"{SITE}/statuses/{commits['second']}", {"state": "pending"}).json()
        assert (shown["context"], shown["description"]) == ("default", None)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "state"),
            ({"state": "neutral"}, "state"),
            ({"state": "success", "description": "x" * 141}, "description"),
            ({"state": "success", "target_url": "ftp://a.invalid"}, "target_url"),
        ],
    )
    def test_invalid_field_is_422(
        self, ci: GitHubServer, call: Call, commits: Commits, body: object, field: str
    ) -> None:
        answer = call("POST", f"{SITE}/statuses/{commits['second']}", body)
        assert answer.status == 422
        assert answer.json()["errors"][0]["field"] == field
        assert call("GET", COMBINED).json()["total_count"] == 0

    @pytest.mark.parametrize("sha", [NO_COMMIT, "main", "0123456"])
    def test_what_is_no_commit_s_sha_is_422(self, ci: GitHubServer, call: Call, sha: str) -> None:
        answer = call("POST", f"{SITE}/statuses/{sha}", {"state": "success"})
        assert (answer.status, answer.json()["message"]) == (422, f"No commit found for SHA: {sha}")


class TestCombined:
    def test_answer_has_the_fields_of_a_combined_status(
        self, set_status: Submit, call: Call, commits: Commits
    ) -> None:
        made = set_status("ci/build", "success")
        shown = call("GET", COMBINED).json()
        check_shape(shown, COMBINED_STATUS)
        assert (shown["sha"], shown["total_count"]) == (commits["second"], 1)
        assert shown["statuses"][0].items() <= made.items()
        assert shown["repository"]["full_name"] == "Octo/Site"

    def test_newest_status_of_a_context_counts_in_any_case_of_its_name(
        self, set_status: Submit, call: Call
    ) -> None:
        set_status("CI/build", "failure")
        set_status("lint", "success")
        newest = set_status("ci/build", "success")
        shown = call("GET", COMBINED).json()
        assert [one["context"] for one in shown["statuses"]] == ["ci/build", "lint"]
        assert (shown["statuses"][0]["id"], shown["state"]) == (newest["id"], "success")

    @pytest.mark.parametrize(
        ("states", "expected"),
        [
            ([], "pending"),
            (["success", "success"], "success"),
            (["success", "pending"], "pending"),
            (["pending", "failure"], "failure"),
            (["success", "error"], "failure"),
        ],
    )
    def test_state_is_the_worst_of_the_states(
        self,
        ci: GitHubServer,
        set_status: Submit,
        call: Call,
        states: list[str],
        expected: str,
    ) -> None:
        for number, state in enumerate(states):
            set_status(f"ci/{number}", state)
        assert call("GET", COMBINED).json()["state"] == expected

    def test_ref_may_be_a_branch_with_a_slash_a_tag_or_a_sha(
        self, set_status: Submit, call: Call, commits: Commits
    ) -> None:
        set_status("ci", "success", commits["ahead"])
        for ref in ("feature/x", "feature%2Fx", "refs/heads/feature/x", commits["ahead"]):
            assert call("GET", f"{SITE}/commits/{ref}/status").json()["state"] == "success"
        assert call("GET", f"{SITE}/commits/v1/status").json()["sha"] == commits["second"]
        assert call("GET", f"{SITE}/commits/v1/status").json()["state"] == "pending"

    def test_pages_have_a_part_of_the_statuses_and_the_whole_state(
        self, set_status: Submit, call: Call
    ) -> None:
        for state in ("failure", "success", "success"):
            set_status(f"ci/{state}/{len(call('GET', COMBINED).json()['statuses'])}", state)
        answer = call("GET", COMBINED, per_page=2, page=2)
        shown = answer.json()
        assert [one["state"] for one in shown["statuses"]] == ["failure"]
        assert (shown["state"], shown["total_count"]) == ("failure", 3)
        assert 'rel="prev"' in answer.headers["Link"]

    def test_unknown_ref_is_404(self, ci: GitHubServer, call: Call) -> None:
        assert call("GET", f"{SITE}/commits/none/status").status == 404
