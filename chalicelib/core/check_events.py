"""Events that say that a check of a commit is green. They only wake the round, which asks GitHub.

Sources: GitHub's page "Webhook events and payloads": check_run, check_suite, workflow_run, status.
"""

from collections.abc import Mapping

# The events, each with the key of its payload that has the check's result.
_RESULTS = {"check_run": "check_run", "check_suite": "check_suite", "workflow_run": "workflow_run"}
CHECK_EVENTS = frozenset(_RESULTS) | {"status"}
# A webhook gets these. The check runs of a workflow tell the same as its workflow_run.
SUBSCRIBED = ("check_run", "check_suite", "status")


def green_branches(event: str, payload: Mapping[str, object]) -> frozenset[str] | None:
    """The branches on which a check became green, as far as GitHub names them; else None.

    An empty set: it is green, and GitHub names no branch. A fork's pull request may have a branch
    of the same name, which does no harm: a round looks at the repository's own branch only.
    """
    if event == "status":
        branches = payload.get("branches")
        listed = branches if isinstance(branches, list) else []
        names = [one.get("name") for one in listed if isinstance(one, dict)]
        is_green = payload.get("state") == "success"
    else:
        result = payload.get(_RESULTS.get(event, ""))
        if not isinstance(result, dict):
            return None
        suite = result.get("check_suite")
        suite = suite if isinstance(suite, dict) else result
        names = [suite.get("head_branch")]
        is_green = result.get("conclusion") == "success"
    found = frozenset(one for one in names if isinstance(one, str) and one)
    return found if is_green else None
