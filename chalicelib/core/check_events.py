"""Events that say that a check of a commit is green. They only wake the round, which asks GitHub.

Sources: GitHub's page "Webhook events and payloads": check_run, check_suite, workflow_run, status.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.core.gates import EVERY_CHECK

# The events, each with the key of its payload that has the check's result.
_RESULTS = {"check_run": "check_run", "check_suite": "check_suite", "workflow_run": "workflow_run"}
CHECK_EVENTS = frozenset(_RESULTS) | {"status"}
# A webhook gets these. The check runs of a workflow tell the same as its workflow_run.
SUBSCRIBED = ("check_run", "check_suite", "status")


@dataclass(frozen=True)
class GreenCheck:
    """A check that became green. `name` is "" if the event is of several checks.

    `branches` are those of the commit, as far as GitHub names them. A fork's pull request may have
    a branch of the same name, which does no harm: a round looks at the repository's own branch.
    """

    name: str
    branches: frozenset[str]

    def may_open(self, checks: Sequence[str], branch: str) -> bool:
        """Whether a target that waits for these checks, on this branch, may wait for this one.

        The branch is "" if the target follows tags: GitHub names no tags.
        """
        is_named = not self.name or checks == EVERY_CHECK or self.name in checks
        is_on_branch = not branch or not self.branches or branch in self.branches
        return bool(checks) and is_named and is_on_branch


def parse_green_check(event: str, payload: Mapping[str, object]) -> GreenCheck | None:
    """The check of an event in CHECK_EVENTS that became green; None if none did."""
    name: object = ""
    if event == "status":
        branches = payload.get("branches")
        listed = branches if isinstance(branches, list) else []
        names = [one.get("name") for one in listed if isinstance(one, dict)]
        is_green, name = payload.get("state") == "success", payload.get("context")
    else:
        result = payload.get(_RESULTS.get(event, ""))
        if not isinstance(result, dict):
            return None
        suite = result.get("check_suite")
        suite = suite if isinstance(suite, dict) else result
        names = [suite.get("head_branch")]
        is_green = result.get("conclusion") == "success"
        name = result.get("name") if event == "check_run" else ""
    found = frozenset(one for one in names if isinstance(one, str) and one)
    return GreenCheck(name if isinstance(name, str) else "", found) if is_green else None
