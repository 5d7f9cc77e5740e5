"""Check runs through GitHub's API: records, runs that are made again, refusals."""

import pytest

from pulley.sandbox.github.server import GitHubServer
from tests.sandbox.github.conftest import Submit
from tests.sandbox.github.shapes import CHECK_RUN, check_shape
from tests.sandbox.repository import Call, Commits

pytestmark = pytest.mark.timeout(30)

SITE = "/repos/octo/site"
RUNS = f"{SITE}/check-runs"
OF_MAIN = f"{SITE}/commits/main/check-runs"
NO_COMMIT = "0123456789abcdef0123456789abcdef01234567"


class TestCreate:
    def test_answer_has_the_fields_of_a_check_run(
        self, ci: GitHubServer, create_run: Submit, commits: Commits
    ) -> None:
        output = {"title": "T", "summary": "S"}
        shown = create_run("test", status="in_progress", external_id="42", output=output)
        check_shape(shown, CHECK_RUN)
        assert shown["url"] == f"{ci.api_url}/repos/Octo/Site/check-runs/{shown['id']}"
        assert (shown["name"], shown["head_sha"]) == ("test", commits["second"])
        assert (shown["status"], shown["conclusion"]) == ("in_progress", None)
        assert (shown["external_id"], shown["output"]["summary"]) == ("42", "S")
        assert shown["completed_at"] is None

    def test_run_with_only_name_and_commit_is_queued(self, create_run: Submit) -> None:
        assert create_run("test")["status"] == "queued"

    def test_conclusion_makes_the_run_completed(self, create_run: Submit) -> None:
        shown = create_run("test", "neutral")
        assert (shown["status"], shown["conclusion"]) == ("completed", "neutral")
        assert shown["completed_at"]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": None}, "name"),
            ({"head_sha": None}, "head_sha"),
            ({"status": "done"}, "status"),
            ({"status": "completed"}, "conclusion"),
            ({"conclusion": "green"}, "conclusion"),
            ({"conclusion": "stale"}, "conclusion"),
            ({"details_url": "ftp://a.invalid"}, "details_url"),
        ],
    )
    def test_invalid_field_is_422(
        self,
        ci: GitHubServer,
        call: Call,
        commits: Commits,
        changes: dict[str, object],
        field: str,
    ) -> None:
        answer = call("POST", RUNS, {"name": "test", "head_sha": commits["second"], **changes})
        assert answer.status == 422
        assert answer.json()["errors"][0]["field"] == field
        assert call("GET", OF_MAIN).json() == {"total_count": 0, "check_runs": []}

    @pytest.mark.parametrize("sha", [NO_COMMIT, "main"])
    def test_what_is_no_commit_s_sha_is_422(self, ci: GitHubServer, call: Call, sha: str) -> None:
        answer = call("POST", RUNS, {"name": "test", "head_sha": sha})
        assert (answer.status, answer.json()["message"]) == (422, f"No commit found for SHA: {sha}")


class TestUpdate:
    def test_named_fields_change_and_the_others_stay(
        self, create_run: Submit, update_run: Submit
    ) -> None:
        made = create_run("test", external_id="42")
        began = update_run(made, status="in_progress")
        assert began == made | {"status": "in_progress"}
        done = update_run(made, status="completed", conclusion="failure", name="tests")
        assert done["completed_at"]
        changes = {"status": "completed", "conclusion": "failure", "name": "tests"}
        assert done == made | changes | {"completed_at": done["completed_at"]}

    def test_completed_run_is_not_reopened_and_may_change_its_conclusion(
        self, call: Call, create_run: Submit, update_run: Submit
    ) -> None:
        made = create_run("test", "success")
        assert call("PATCH", f"{RUNS}/{made['id']}", {"status": "in_progress"}).status == 422
        assert update_run(made, conclusion="failure")["conclusion"] == "failure"

    def test_unknown_run_is_404(self, ci: GitHubServer, call: Call) -> None:
        assert call("PATCH", f"{RUNS}/1", {"status": "queued"}).status == 404

    def test_run_of_another_repository_is_404(self, call: Call, create_run: Submit) -> None:
        made = create_run("test")
        path = f"/repos/octo/other/check-runs/{made['id']}"
        assert call("PATCH", path, {"conclusion": "success"}).status == 404


class TestList:
    def test_newest_run_of_a_name_replaces_the_older_unless_all_are_asked_for(
        self, call: Call, create_run: Submit
    ) -> None:
        old = create_run("test", "failure")
        lint = create_run("lint", "success")
        new = create_run("test")
        shown = call("GET", OF_MAIN).json()
        assert shown == {"total_count": 2, "check_runs": [new, lint]}
        assert call("GET", OF_MAIN, filter="latest").json() == shown
        everything = call("GET", OF_MAIN, filter="all").json()
        assert everything == {"total_count": 3, "check_runs": [new, lint, old]}

    def test_runs_of_a_commit_share_a_suite_which_no_other_commit_has(
        self, create_run: Submit, commits: Commits
    ) -> None:
        suites = [
            create_run(name, sha=sha)["check_suite"]["id"]
            for name, sha in (("a", ""), ("b", ""), ("a", commits["ahead"]))
        ]
        assert suites[0] == suites[1] != suites[2]

    def test_filters_and_pages_narrow_the_list(self, call: Call, create_run: Submit) -> None:
        runs = [create_run("a", "success"), create_run("b"), create_run("c")]
        listed = call("GET", OF_MAIN, check_name="a").json()
        assert listed == {"total_count": 1, "check_runs": [runs[0]]}
        listed = call("GET", OF_MAIN, status="queued", per_page=1, page=2).json()
        assert listed == {"total_count": 2, "check_runs": [runs[1]]}

    def test_unknown_ref_is_422(self, ci: GitHubServer, call: Call) -> None:
        answer = call("GET", f"{SITE}/commits/none/check-runs")
        assert (answer.status, answer.json()["message"]) == (422, "No commit found for SHA: none")
