"""Holds: rounds do not continue a roll-out that was stopped or cancelled.

A newer commit or a person lifts a hold. Systems Manager forgets commands after 30 days, so holds
are stored.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from chalicelib.core.history import Run, age, plain_status
from chalicelib.core.observations import newest_observations
from chalicelib.core.refs import CommitSha, RefError

CANCELLED, STOPPED = "cancelled", "stopped"
MAX_STORED = 15  # each takes up to 210 characters, and a parameter has room for 4 KB
_UNREADABLE = (KeyError, TypeError, ValueError, OverflowError, AttributeError, RefError)


@dataclass(frozen=True)
class Hold:
    """A held commit of a target.

    `issued` (epoch milliseconds) is that of the stopped roll-out. `good` is the commit that most
    hosts ran before it; None if that is not known.
    """

    commit: CommitSha
    kind: str
    issued: int
    good: CommitSha | None = None

    def __str__(self) -> str:
        """Why the commit is held, for people."""
        how = "was cancelled" if self.kind == CANCELLED else "was stopped by its failures"
        return f"the roll-out of {self.commit.short} {how}"


def find_hold(
    runs: Iterable[Run], beside: Iterable[Run], commit: CommitSha, stored: Hold | None
) -> Hold | None:
    """The hold on a commit: the stored one, or one that the target's runs cause.

    A later push or deploy of the commit lifts it. Rounds continue a roll-out, so a round's command
    can be stopped too. If most hosts run the commit already, failures of single hosts hold nothing.
    """
    known = sorted(runs, key=lambda run: age(run.command))
    own = {one.instance_id for run in known for one in run.invocations}
    # Other hosts must not decide which commit is good.
    seen = [*known, *(run.on(own) for run in beside)]
    hold, begun = None, -1
    if stored and stored.commit == commit and not is_lifted(stored, known):
        return stored
    for run in known:
        roll_out = run.roll_out
        if roll_out.commit != commit:
            continue
        if roll_out.cause != "reconcile":
            hold, begun = None, roll_out.issued
        kind = how_stopped(run)
        if hold or not kind:
            continue
        if most_run(seen, commit, before=roll_out.issued) == commit:
            continue
        good = most_run(seen, commit, before=begun if begun >= 0 else roll_out.issued)
        hold = Hold(commit, kind, roll_out.issued, good if good != commit else None)
    return hold


def is_lifted(hold: Hold, runs: Iterable[Run]) -> bool:
    """Whether somebody has pushed or deployed the commit again after the hold began."""
    return any(
        run.roll_out.commit == hold.commit
        and run.roll_out.cause != "reconcile"
        and run.roll_out.issued > hold.issued
        for run in runs
    )


def how_stopped(run: Run) -> str:
    """How a run was stopped; "" if it was not. A cancelled command of a round counts as stopped."""
    if run.command.is_cancelled:
        return CANCELLED if run.roll_out.cause != "reconcile" else STOPPED
    has_stopped = any(plain_status(one.details) == "terminated" for one in run.invocations)
    return STOPPED if has_stopped else ""


def most_run(
    runs: Iterable[Run], commit: CommitSha | None, *, before: float = float("inf")
) -> CommitSha | None:
    """The commit that most hosts ran before that time (epoch milliseconds).

    Ties: first a commit other than `commit`; then the one whose command was issued last; then, if
    they were issued in the same millisecond, one that a command asked for, before one that a host
    only claims to run.
    """
    earlier = (run for run in runs if run.roll_out.issued < before)
    seen = newest_observations(earlier, with_commit=True).values()
    counts = Counter(one.commit for one in seen)
    told = [
        (one.roll_out.issued, one.commit == one.roll_out.commit.sha, one.commit) for one in seen
    ]
    newest = {sha: (issued, was_asked) for issued, was_asked, sha in sorted(told)}
    last = commit.sha if commit else ""
    most = max(counts, key=lambda sha: (counts[sha], sha != last, newest[sha], sha), default="")
    return CommitSha(most) if most else None


@dataclass(frozen=True)
class RoundState:
    """A round's state for the next round: the holds by target, and where this round stopped."""

    after: str = ""  # the last target that it handled, if it ran out of time
    holds: Mapping[str, Hold] = field(default_factory=dict)

    def with_holds(self, names: Collection[str], holds: Mapping[str, Hold]) -> "RoundState":
        """The same, but with these holds of the named targets, and no others of theirs."""
        others = {name: hold for name, hold in self.holds.items() if name not in names}
        return replace(self, holds=others | {name: holds[name] for name in names if name in holds})


def parse_round_state(text: str) -> RoundState:
    """Parse the stored JSON; holds that cannot be read are dropped."""
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        # Releases before 2026-11-29 stored a target's name, or "-".
        return RoundState(after=text.strip().strip("-"))
    if not isinstance(stored, dict):
        return RoundState()
    after, held, holds = stored.get("after"), stored.get("holds"), {}
    for name, one in held.items() if isinstance(held, dict) else ():
        with suppress(*_UNREADABLE):
            good = CommitSha.parse(one["good"]) if one.get("good") else None
            commit = CommitSha.parse(one["commit"])
            holds[name] = Hold(commit, str(one["kind"]), int(one["issued"]), good)
    return RoundState(after if isinstance(after, str) else "", holds)


def write_round_state(state: RoundState) -> str:
    """The JSON to store, for `parse_round_state`, with the newest MAX_STORED holds."""
    newest = sorted(state.holds.items(), key=lambda item: item[1].issued, reverse=True)
    holds = {
        name: {
            "commit": one.commit.sha,
            "kind": one.kind,
            "issued": one.issued,
            "good": one.good.sha if one.good else None,
        }
        for name, one in sorted(newest[:MAX_STORED])
    }
    return json.dumps({"after": state.after, "holds": holds})
