"""What `pulley status` and `pulley plan` show of a commit's checks, by GitHub's answers."""

from typing import Any

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_target
from chalicelib.core.waiting import CLOSED, OPEN, UNKNOWN, Gate
from chalicelib.edges.github_api import GitHubApi
from chalicelib.status.checks import ChecksReader
from tests.fakes import TOKEN, target_json

COMMIT = CommitSha("a" * 40)
LATER = "GitHub judges it when a round asks"


class Answers(GitHubApi):
    """GitHub's API with these check runs and statuses."""

    def __init__(self, runs: object, statuses: object, total: object = None) -> None:
        super().__init__("http://127.0.0.1:9")
        self.answers = {"check-runs": ("check_runs", runs), "status": ("statuses", statuses)}
        self.total = total

    def call(self, _method: str, _repository: object, path: str, **_: object) -> Any:  # type: ignore[override] # noqa: ANN401 - JSON
        key, entries = self.answers[path.rsplit("/", maxsplit=1)[-1].split("?", maxsplit=1)[0]]
        if isinstance(entries, Exception):
            raise entries
        count = len(entries) if isinstance(entries, list) else 0
        return {key: entries, "total_count": self.total or count}


def run(name: object, conclusion: object, status: str = "completed") -> dict[str, object]:
    return {"name": name, "status": status, "conclusion": conclusion}


def gate(checks: object, api: GitHubApi) -> Gate:
    target = parse_target("", target_json(checks=checks))
    return ChecksReader(api).read(target, COMMIT, TOKEN)


GREEN, RED = run("test", "success"), run("lint", "failure")


@pytest.mark.parametrize(
    ("checks", "api", "state", "reason"),
    [
        (["test"], Answers([GREEN], []), OPEN, "test: green"),
        (["test"], Answers([], []), CLOSED, "waits for test: not there yet"),
        (["test"], Answers([run("test", None, "queued")], []), CLOSED, "waits for test: queued"),
        (
            ["test"],
            Answers([GREEN], [{"context": "test", "state": "pending"}]),
            CLOSED,
            "waits for test: pending",
        ),
        (True, Answers([GREEN], []), OPEN, "every check: green"),
        (True, Answers([GREEN, RED], []), CLOSED, "waits for lint: failure"),
        # GitHub calls a commit without checks green; a round does not.
        (True, Answers([], []), CLOSED, "waits for every check: none was reported yet"),
        # There are more than one page has.
        (True, Answers([GREEN], [], total=101), UNKNOWN, f"waits for every check: {LATER}"),
        (True, Answers([RED], [], total=101), CLOSED, "waits for lint: failure"),
        (["test"], Answers([RED], [], total=101), UNKNOWN, f"waits for test: {LATER}"),
        # What cannot be read is no check, and no answer is no state.
        (["test"], Answers([7, None, {}, run(None, "success"), GREEN], [[]]), OPEN, "test: green"),
        (["test"], Answers(None, []), UNKNOWN, f"waits for test: {LATER}"),
        (["test"], Answers([GREEN], [], total="2"), UNKNOWN, f"waits for test: {LATER}"),
        (
            ["test"],
            Answers([], UnavailableError("GitHub is not well", detail="502")),
            UNKNOWN,
            f"waits for test: {LATER}",
        ),
    ],
)
def test_gate_checks_is_shown_by_githubs_answers(
    checks: object, api: GitHubApi, state: str, reason: str
) -> None:
    assert gate(checks, api) == Gate("checks", state, reason)
