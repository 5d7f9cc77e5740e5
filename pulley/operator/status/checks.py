"""Reads the checks of a commit from GitHub, to show them. In a round GitHub judges them itself.

That needs the permissions Checks: read and Commit statuses: read, which no other part of Pulley
needs. Source: GitHub's pages "REST API endpoints for check runs" and "... for commit statuses".
"""

from dataclasses import dataclass
from typing import Any

from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.gates import EVERY_CHECK
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.waiting import CLOSED, OPEN, UNKNOWN, Gate, checks_gate
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github_api import GitHubApi

GREEN, MISSING = "success", "not there yet"
_ASKED_LATER = "GitHub judges it when a round asks"


@dataclass(frozen=True)
class ChecksReader:
    """Reads from GitHub. A refusal closes `api` for further reading, so it must be its own."""

    api: GitHubApi

    def read(self, target: Target, commit: CommitSha, token: str) -> Gate:
        """The gate `checks` of a commit, unknown if GitHub does not tell."""
        names = target.gates.checks
        try:
            states = self._states(target, commit, token)
        except (NotTakenError, UnavailableError):
            named = "every check" if names == EVERY_CHECK else ", ".join(names)
            return checks_gate(target, UNKNOWN, f"{named}: {_ASKED_LATER}")
        wanted = states if names == EVERY_CHECK else names
        waiting = [
            f"{name}: {states.get(name, MISSING)}" for name in wanted if states.get(name) != GREEN
        ]
        return checks_gate(target, CLOSED if waiting else OPEN, ", ".join(waiting))

    def _states(self, target: Target, commit: CommitSha, token: str) -> dict[str, str]:
        path = f"/commits/{commit.sha}"
        runs = self._call(target, f"{path}/check-runs?per_page=100", token).get("check_runs")
        said = self._call(target, f"{path}/status?per_page=100", token).get("statuses")
        states: dict[str, str] = {}
        for one in runs if isinstance(runs, list) else []:
            state = str(one.get("conclusion") or one.get("status"))
            _keep(states, str(one.get("name")), state)
        for one in said if isinstance(said, list) else []:
            _keep(states, str(one.get("context")), str(one.get("state")))
        return states

    def _call(self, target: Target, path: str, token: str) -> dict[str, Any]:
        answer = self.api.call("GET", target.repository, path, token=token, deadline=Deadline())
        return answer if isinstance(answer, dict) else {}


def _keep(states: dict[str, str], name: str, state: str) -> None:
    """Keep a state. A check run and a status of one name must both be green."""
    if states.get(name, GREEN) == GREEN:
        states[name] = state
