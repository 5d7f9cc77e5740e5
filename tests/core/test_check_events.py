"""Which events say that a check is green, and of which branches."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.check_events import CHECK_EVENTS, GreenCheck, parse_green_check
from chalicelib.core.gates import EVERY_CHECK

CHECKS = ("check_run", "check_suite", "workflow_run")
EVENTS = (*CHECKS, "status")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("success"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
RESULTS = st.dictionaries(
    st.sampled_from(("conclusion", "check_suite", "head_branch")),
    st.dictionaries(st.just("head_branch"), ANYTHING) | ANYTHING,
)


def payload_of(event: str, outcome: object = "success", branch: object = "main") -> dict[str, Any]:
    """The payload of an event about a check of a branch: the fields that are read."""
    if event == "status":
        return {"state": outcome, "context": "ci/test", "branches": [{"name": branch}]}
    if event == "check_run":
        suite = {"id": 5, "head_branch": branch}
        return {"check_run": {"conclusion": outcome, "name": "test", "check_suite": suite}}
    return {event: {"conclusion": outcome, "id": 5, "head_branch": branch}}


def green_branches(event: str, payload: dict[str, Any]) -> frozenset[str] | None:
    """The branches of the check that became green."""
    check = parse_green_check(event, payload)
    return check.branches if check else None


class TestParseGreenCheck:
    def test_every_event_about_checks_is_known(self) -> None:
        assert set(EVENTS) == CHECK_EVENTS

    @pytest.mark.parametrize("event", EVENTS)
    def test_success_names_its_branch(self, event: str) -> None:
        assert green_branches(event, payload_of(event)) == frozenset({"main"})
        assert green_branches(event, payload_of(event, branch="feature/x")) == frozenset(
            {"feature/x"}
        )

    @pytest.mark.parametrize(
        "outcome",
        [
            *("failure", "cancelled", "timed_out", "action_required", "startup_failure", "stale"),
            *("neutral", "skipped"),
            *("pending", "error"),  # states of a status
            *(None, "", "SUCCESS", True, ["success"]),
        ],
    )
    @pytest.mark.parametrize("event", EVENTS)
    def test_any_other_outcome_is_not_green(self, event: str, outcome: object) -> None:
        assert green_branches(event, payload_of(event, outcome)) is None

    @pytest.mark.parametrize(
        ("event", "name"),
        [("check_run", "test"), ("status", "ci/test"), ("check_suite", ""), ("workflow_run", "")],
    )
    def test_event_of_one_check_names_it(self, event: str, name: str) -> None:
        check = parse_green_check(event, payload_of(event))
        assert check == GreenCheck(name, frozenset({"main"}))

    def test_name_that_is_no_text_is_left_out(self) -> None:
        payload = payload_of("status") | {"context": 7}
        assert parse_green_check("status", payload) == GreenCheck("", frozenset({"main"}))

    def test_status_names_all_branches_that_have_the_commit(self) -> None:
        payload = payload_of("status") | {"branches": [{"name": "main"}, {"name": "next"}]}
        assert green_branches("status", payload) == frozenset({"main", "next"})

    @pytest.mark.parametrize(
        "branches", [[], None, "main", {"name": "main"}, [None], ["main"], [{}], [{"name": 7}]]
    )
    def test_green_status_without_a_branch_names_no_branch(self, branches: object) -> None:
        assert (
            green_branches("status", payload_of("status") | {"branches": branches}) == frozenset()
        )

    @pytest.mark.parametrize("branch", [None, "", 7, ["main"]])
    @pytest.mark.parametrize("event", EVENTS)
    def test_green_check_without_a_branch_names_no_branch(self, event: str, branch: object) -> None:
        """A check of a fork's pull request has none."""
        assert green_branches(event, payload_of(event, branch=branch)) == frozenset()

    @pytest.mark.parametrize("suite", [None, "main", []])
    def test_check_run_without_a_suite_names_no_branch(self, suite: object) -> None:
        payload = {"check_run": {"conclusion": "success", "check_suite": suite}}
        assert green_branches("check_run", payload) == frozenset()

    @pytest.mark.parametrize("result", [None, "success", [], 1])
    @pytest.mark.parametrize("event", CHECKS)
    def test_event_without_a_result_is_not_green(self, event: str, result: object) -> None:
        assert green_branches(event, {event: result}) is None
        assert green_branches(event, {}) is None

    @pytest.mark.parametrize("event", ["push", "deployment_status", "check", ""])
    def test_event_about_something_else_is_not_green(self, event: str) -> None:
        payload = payload_of("check_run") | payload_of("status")
        assert green_branches(event, payload) is None

    @given(st.sampled_from(EVENTS), st.data())
    def test_payload_of_any_shape_gives_names_or_nothing(
        self, event: str, data: st.DataObject
    ) -> None:
        keys = st.sampled_from((*EVENTS, "state", "branches"))
        payload = data.draw(st.dictionaries(keys, RESULTS | ANYTHING))
        found = green_branches(event, payload)
        assert found is None or all(isinstance(one, str) and one for one in found)


class TestMayOpen:
    MAIN = frozenset({"main"})

    @pytest.mark.parametrize(
        ("name", "branches", "checks", "expected"),
        [
            ("test", MAIN, ("test",), True),
            ("test", MAIN, ("lint", "test"), True),
            ("test", MAIN, ("lint",), False),
            ("test", MAIN, EVERY_CHECK, True),
            ("test", MAIN, (), False),
            ("", MAIN, ("lint",), True),  # of several checks, which are not named
            ("", MAIN, (), False),
            ("test", frozenset({"next"}), ("test",), False),
            ("test", frozenset({"next", "main"}), ("test",), True),
            ("test", frozenset(), ("test",), True),  # GitHub names no branch
        ],
    )
    def test_check_may_open_the_gate_of_a_target_that_waits_for_it(
        self, name: str, branches: frozenset[str], checks: tuple[str, ...], *, expected: bool
    ) -> None:
        assert GreenCheck(name, branches).may_open(checks, "main") is expected

    def test_target_that_follows_tags_may_wait_for_a_check_of_any_branch(self) -> None:
        assert GreenCheck("test", self.MAIN).may_open(("test",), "")
        assert not GreenCheck("test", self.MAIN).may_open(("lint",), "")
