"""How a target stands before another one that waits for it, in words, as the facts of a round."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile

from chalicelib.core.gates import Gates
from chalicelib.core.history import Check, Command, Invocation, Look, Run, age
from chalicelib.core.pins import Pin
from chalicelib.core.plan import plan_target
from chalicelib.core.refs import CommitSha
from chalicelib.core.waiting import Forerunner, forerunner_of, well_since
from chalicelib.core.wanted import TargetFacts
from tests.core.test_plan import (
    START,
    WEB,
    A,
    B,
    C,
    facts_of,
    failed,
    host,
    ran,
    reconciled,
    run,
    said,
)
from tests.facts import invocation as on
from tests.facts import result_line

FIRST, BOTH, ONE_AWAY = (host(1),), (host(1), host(2)), (host(1), host(2, is_online=False))
FAIR = Pin("frozen", reason="the fair")


def aside(number: int, at: int) -> Invocation:
    line = result_line(outcome="updated", upstream=B.sha, set_aside="settings.py")
    return on(number, "Success", line, START + timedelta(minutes=at))


def back_from_c(at: int) -> Invocation:
    """The branch was at C already, which failed, so the host went back to B."""
    line = result_line(outcome="rolled_back", before=B.sha, after=B.sha, upstream=C.sha)
    return on(1, "Failed", line, START + timedelta(minutes=at))


def with_clock(commit: CommitSha, ended: datetime) -> Invocation:
    """The host says that it ended at this time."""
    return replace(ran(1, commit), ended=ended)


def under_way(commit: CommitSha, at: int) -> Run:
    return run(commit, on(1, "InProgress"), at=at, status="InProgress")


def five_attempts(at: int) -> list[Run]:
    later = enumerate((at - 840, at - 720, at - 540, at - 300, at), start=1)
    return [
        run(B, failed(1, B, at=at - 900), at=at - 900),
        *(reconciled(B, failed(1, B, at=one), at=one, attempt=number) for number, one in later),
    ]


def checked(at: int, *, drift: str = "") -> TargetFacts:
    """B got there, and a check came a minute later."""
    requested = START + timedelta(minutes=at + 1)
    found = {"would_update": False, "owner": "site", "git": "2.39", "free_mib": 900, "lfs": False}
    found |= {"deployed": B.sha, "drift": drift}
    line = result_line(outcome="unchanged", upstream=B.sha, found=found)
    sent = run(B, at=at + 1).command
    check = Check(
        id="check",
        status="Success",
        details="Success",
        requested=requested,
        expires=sent.expires,
        target_count=1,
        checkout=WEB.checkout,
        target=WEB.name,
    )
    known = facts_of(run(B, ran(1, B), at=at), head=B)
    return replace(known, looks=[Look(check, (on(1, "Success", line, requested),))])


def stopped(at: int) -> TargetFacts:
    """B failed on the first host, so the second did not begin."""
    good = run(A, ran(1, A), ran(2, A), at=at - 60)
    bad = run(B, failed(1, B, at=at), on(2, "Terminated"), at=at, status="Failed")
    return facts_of(good, bad, hosts=BOTH, head=B)


def cancelled(at: int, *, has_begun: bool) -> TargetFacts:
    ended = START + timedelta(minutes=at) if has_begun else None
    bad = run(B, replace(on(1, "Cancelled"), ended=ended), at=at, status="Cancelled")
    return facts_of(run(A, ran(1, A), at=at - 60), bad, head=B)


def with_checks(facts: TargetFacts) -> TargetFacts:
    return replace(facts, target=replace(facts.target, gates=Gates(checks=("test",))))


# Each takes when the newest run, or the one that counts, was sent, in minutes from START.
STANDINGS: Mapping[str, Callable[[int], TargetFacts]] = {
    "well": lambda at: facts_of(run(B, ran(1, B), at=at), head=B),
    "well by a round": lambda at: facts_of(reconciled(B, ran(1, B), at=at), head=B),
    "well with an edit aside": lambda at: facts_of(run(B, aside(1, at), at=at), head=B),
    "well, to the commit": lambda at: with_checks(
        facts_of(run(B, ran(1, B), at=at, update="rebase-to"), head=C)
    ),
    "well after a failure": lambda at: facts_of(
        run(B, failed(1, B, at=at - 60), at=at - 60), reconciled(B, ran(1, B), at=at), head=B
    ),
    "pinned to B": lambda at: facts_of(
        run(B, ran(1, B), at=at, update="exact"), head=C, pin=Pin("pinned", B)
    ),
    "pinned to A": lambda at: facts_of(
        run(A, ran(1, A), at=at, update="exact"), head=C, pin=Pin("pinned", A)
    ),
    "frozen at B": lambda at: facts_of(run(B, ran(1, B), at=at), head=C, pin=FAIR),
    "frozen at A": lambda at: facts_of(run(A, ran(1, A), at=at), head=C, pin=FAIR),
    "frozen and failed": lambda at: facts_of(run(B, failed(1, B), at=at), head=B, pin=FAIR),
    "one of two offline": lambda at: facts_of(
        run(A, ran(2, A), at=at - 60), run(B, ran(1, B), at=at), hosts=ONE_AWAY, head=B
    ),
    "offline, other behind": lambda at: facts_of(
        run(B, ran(2, B), at=at - 60), run(A, ran(1, A), at=at), hosts=ONE_AWAY, head=B
    ),
    "offline": lambda at: facts_of(
        run(B, ran(1, B), at=at), hosts=[host(1, is_online=False)], head=B
    ),
    "without a host": lambda _: facts_of(hosts=[], head=B),
    "GitHub away": lambda at: facts_of(run(B, ran(1, B), at=at)),
    "superseded by B": lambda at: facts_of(run(A, said(1, "superseded", B), at=at), head=B),
    "checked": checked,
    "drifted": lambda at: checked(at, drift="head"),
    "not reached by C": lambda at: facts_of(
        run(B, ran(1, B), at=at - 30), run(C, on(1, "DeliveryTimedOut"), at=at), head=C
    ),
    "C under way": lambda at: facts_of(run(B, ran(1, B), at=at - 30), under_way(C, at), head=C),
    "B under way": lambda at: facts_of(run(A, ran(1, A), at=at - 30), under_way(B, at), head=B),
    "first run under way": lambda at: facts_of(under_way(B, at), head=B),
    "behind": lambda at: facts_of(run(A, ran(1, A), at=at), head=B),
    "ahead": lambda at: facts_of(run(C, ran(1, C), at=at), head=C),
    "went past A": lambda at: facts_of(run(A, ran(1, B), at=at), head=B),
    "went past B": lambda at: facts_of(run(B, ran(1, C), at=at), head=C),
    "failed": lambda at: facts_of(run(B, failed(1, B), at=at), head=B),
    "failed, due again": lambda at: facts_of(run(B, failed(1, B), at=at - 60), head=B),
    "C failed, back at B": lambda at: facts_of(
        run(B, ran(1, B), at=at - 30), run(B, back_from_c(at), at=at), head=B
    ),
    "another target ran B": lambda at: replace(
        facts_of(run(A, ran(1, A), at=at - 30), head=B),
        beside=renamed(facts_of(run(B, ran(1, B), at=at)), "job").runs,
    ),
    "unreachable": lambda at: facts_of(run(B, said(1, "unreachable", None), at=at), head=B),
    "timed out": lambda at: facts_of(run(B, on(1, "ExecutionTimedOut"), at=at - 60), head=B),
    "one of two failed": lambda at: facts_of(
        run(B, ran(1, B), failed(2, B), at=at), hosts=BOTH, head=B
    ),
    "parked": lambda at: facts_of(*five_attempts(at), head=B),
    "new host": lambda at: facts_of(run(B, ran(1, B), at=at), hosts=BOTH, head=B),
    "held": stopped,
    "cancelled in time": lambda at: cancelled(at, has_begun=False),
    "cancelled as it ran": lambda at: cancelled(at, has_begun=True),
    "apart": lambda at: facts_of(
        run(A, ran(1, A), ran(2, A), at=at - 60), run(B, ran(1, B), at=at), hosts=BOTH, head=B
    ),
    "never deployed": lambda _: facts_of(head=B),
    "without any commit": lambda _: facts_of(),
    # For the soak time.
    "second host later": lambda at: facts_of(
        run(B, ran(1, B), at=at), reconciled(B, ran(2, B), at=at + 5), hosts=BOTH, head=B
    ),
    "rechecked": lambda at: facts_of(
        run(B, ran(1, B), at=at),
        reconciled(B, said(1, "unchanged", B), at=at + 5, attempt=0),
        head=B,
    ),
    "sent again, unchanged": lambda at: facts_of(
        run(B, ran(1, B), at=at), run(B, said(1, "unchanged", B), at=at + 5), head=B
    ),
    "failed in between": lambda at: facts_of(
        run(B, ran(1, B), at=at),
        run(B, failed(1, B), at=at + 1),
        run(B, ran(1, B), at=at + 2),
        head=B,
    ),
    "C failed in between": lambda at: facts_of(
        run(B, ran(1, B), at=at),
        run(B, back_from_c(at + 1), at=at + 1),
        run(B, said(1, "unchanged", B), at=at + 2),
        head=B,
    ),
    "away and back": lambda at: facts_of(
        run(B, ran(1, B), at=at - 60),
        run(A, ran(1, A), at=at - 30, pushed=at - 90),
        run(B, ran(1, B), at=at),
        head=B,
    ),
    "by a slow clock": lambda at: facts_of(
        run(B, with_clock(B, START - timedelta(days=400)), at=at), head=B
    ),
    "by a fast clock": lambda at: facts_of(
        run(B, with_clock(B, START + timedelta(days=400)), at=at), head=B
    ),
}


def renamed(facts: TargetFacts, name: str) -> TargetFacts:
    """The facts of a target of this name; the helpers' target is `web`."""

    def told(invocations: Iterable[Invocation]) -> tuple[Invocation, ...]:
        old, new = (f'"target": "{one}"' for one in (WEB.name, name))
        return tuple(replace(one, output=one.output.replace(old, new)) for one in invocations)

    def sent(command: Command) -> Command:
        return replace(command, roll_out=replace(command.roll_out, target=name))

    return replace(
        facts,
        target=replace(facts.target, name=name),
        runs=[Run(sent(one.command), told(one.invocations)) for one in facts.runs],
        looks=[Look(replace(one.check, target=name), told(one.invocations)) for one in facts.looks],
    )


def standing(name: str, words: str, now: datetime) -> TargetFacts:
    """Words like `well 09:50`; without a time, its newest run was ten minutes ago."""
    found = re.fullmatch(r"(.*?)(?: (\d\d):(\d\d))?", words)
    assert found
    sent = now - timedelta(minutes=10)
    if found[2]:
        sent = now.replace(hour=int(found[2]), minute=int(found[3]))
    at = int((sent - START) / timedelta(minutes=1))
    return renamed(STANDINGS[found[1]](at), name)


def forerunner(name: str, words: str, now: datetime) -> Forerunner:
    """How this target stands, for words as `standing` takes them."""
    facts = standing(name, words, now)
    plan = plan_target(facts, now=now)
    stands = forerunner_of(plan)
    hosts = [one.host.instance_id for one in plan.hosts if one.host.is_online]
    since = well_since(newest_runs(facts.runs, stands.commit), stands.commit, hosts)
    return replace(stands, since=since)


def newest_runs(runs: Iterable[Run], commit: str) -> list[Run]:
    """The runs of this commit since there was another one. A round may read more of them."""
    newest = sorted(runs, key=lambda one: age(one.command), reverse=True)
    return list(takewhile(lambda one: one.roll_out.commit.sha == commit, newest))
