"""Reads the checks of a commit from GitHub, to show them. In a round GitHub judges them itself.

That needs the permissions Checks: read and Commit statuses: read, which no other part of Pulley
needs. Source: GitHub's pages "REST API endpoints for check runs" and "... for commit statuses".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.gates import EVERY_CHECK
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.waiting import CLOSED, OPEN, UNKNOWN, Gate, checks_gate, no_check_yet
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github import PER_PAGE, readable, text_of
from chalicelib.edges.github_api import GitHubApi, unreadable

GREEN, MISSING = "success", "not there yet"
_ASKED_LATER = "GitHub judges it when a round asks"


@dataclass(frozen=True)
class ChecksReader:
    """Reads from GitHub. A refusal closes `api` for further reading, so it must be its own."""

    api: GitHubApi
    deadline: Deadline = field(default_factory=Deadline)

    def read(self, target: Target, commit: CommitSha, token: str) -> Gate:
        """The gate `checks` of a commit, unknown if GitHub does not tell, or not everything."""
        gates = target.gates
        asked_later = checks_gate(gates, UNKNOWN, f"{gates.named_checks}: {_ASKED_LATER}")
        try:
            states, is_all = self._states(target, commit, token)
        except (NotTakenError, UnavailableError):
            return asked_later
        if gates.checks == EVERY_CHECK and not states:
            return no_check_yet(gates)
        wanted = states if gates.checks == EVERY_CHECK else gates.checks
        waiting = {name: states.get(name, MISSING) for name in wanted if states.get(name) != GREEN}
        if not is_all and not waiting.keys() & states.keys():
            return asked_later
        words = ", ".join(f"{name}: {state}" for name, state in waiting.items())
        return checks_gate(gates, CLOSED if waiting else OPEN, words)

    def _states(
        self, target: Target, commit: CommitSha, token: str
    ) -> tuple[Mapping[str, str], bool]:
        """The state of each check by its name; and whether these are all."""
        states: dict[str, str] = {}
        is_all = True
        for kind, key, parse in (("check-runs", "check_runs", _run), ("status", "statuses", _said)):
            path = f"/commits/{commit.sha}/{kind}?per_page={PER_PAGE}"
            answer = self.api.call(
                "GET", target.repository, path, token=token, deadline=self.deadline
            )
            if not isinstance(answer, dict):
                raise unreadable("no checks in it")
            for name, state in readable(answer.get(key), parse):
                _keep(states, name, state)
            count = answer.get("total_count")
            is_all = is_all and type(count) is int and count <= PER_PAGE
        return states, is_all


def _run(one: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON
    return text_of(one["name"]), text_of(one["conclusion"] or one["status"])


def _said(one: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON
    return text_of(one["context"]), text_of(one["state"])


def _keep(states: dict[str, str], name: str, state: str) -> None:
    """Keep a state. A check run and a status of one name must both be green."""
    if states.get(name, GREEN) == GREEN:
        states[name] = state
