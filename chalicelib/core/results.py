"""A host's result: the one line of JSON that the script prints. docs/host.md has its fields."""

import json
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import CommitSha, shown

ERROR_SEPARATOR = "\n----------ERROR-------\n"
OUTCOMES_AT_UPSTREAM = ("updated", "unchanged")


class ResultError(PulleyError):
    """Output of a host without a readable result line."""


@dataclass(frozen=True)
class Found:
    """The findings of `check` on a host. `free_mib` is the free space on the checkout's disk.

    `deployed` is the branch's commit that was deployed there last, with all its steps; "" if no
    commit was, None if the host does not say. `drift` names what somebody has moved since: "head",
    "branch" or "files"; else "". `unfinished` names what a killed run or git left: a file of git's
    or the script's, or "marker"; else "".
    """

    would_update: bool
    owner: str
    git: str
    free_mib: int
    lfs: bool
    deployed: str | None = None
    drift: str = ""
    unfinished: str = ""


@dataclass(frozen=True)
class HostResult:
    """A host's report of its run. docs/host.md has the outcomes. `seconds` is the run's length.

    `drift` names what somebody had moved since the last run, and this run has brought back: "head",
    "branch" or "files". `set_aside` is the first file whose local edit no longer fits, and stayed
    in `saved`; each run repeats it until somebody drops its ref. `dropped` is how many saved refs
    were deleted. `steps_not_needed`: no file that fits the command's Paths has changed since the
    last deploy, so the steps did not run. A line of an older release lacks the fields that have a
    default here.
    """

    target: str
    outcome: str
    before: str | None
    after: str | None
    upstream: str | None
    local_commits: int
    saved: str | None
    step: str | None
    detail: str
    seconds: float | int
    attempt: int = 0
    fault: str | None = None
    found: Found | None = None
    drift: str | None = None
    set_aside: str | None = None
    dropped: int | None = None
    steps_not_needed: bool = False

    def is_at(self, commit: CommitSha) -> bool:
        """Whether the host runs this commit, with or without local commits on top of it."""
        return self.outcome in OUTCOMES_AT_UPSTREAM and self.upstream == commit.sha


Told = TypeVar("Told", HostResult, Found)


def parse_result(output: str) -> HostResult:
    """The result line in a host's output, without what the agent adds. Raises ResultError."""
    text = output.partition(ERROR_SEPARATOR)[0].strip()
    try:
        stored = json.loads(text)
        if "found" in stored:
            stored["found"] = _checked(Found(**_fields_of(Found, stored["found"])))
        values, version = _fields_of(HostResult, stored), stored["v"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ResultError("no result line in the host's output") from None
    if version != 1:
        raise ResultError(f"a result line of a version not known here: {shown(version)}")
    return _checked(HostResult(**values))


def _fields_of(kind: type[HostResult | Found], stored: dict[str, Any]) -> dict[str, Any]:
    """The fields of `kind` in any parsed JSON. Raises KeyError if a required field is missing."""
    told = [one.name for one in fields(kind) if one.default is MISSING or one.name in stored]
    return {name: stored[name] for name in told}


def _checked(value: Told) -> Told:
    """Raise ResultError if a field has the wrong type."""
    for field in fields(value):
        said = getattr(value, field.name)
        if not isinstance(said, field.type):  # type: ignore[arg-type] # a class here
            raise ResultError(f"{field.name} in the result line is {shown(said)}")
    return value
