"""Judges a commit on a target's hosts, by the commands that were sent and what each host answered.

A target may get the same commit several times (a redelivery, a host that was offline), so each
host's newest run counts. Exit codes and the order of events do not matter, nor what a check saw.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.history import CLOCKS_APART, Invocation, RollOut, Run, age
from chalicelib.core.observations import (
    AT,
    FAILED,
    NOT_BEGUN,
    OFFLINE,
    OVERTAKEN,
    RUNNING,
    UNDER_WAY,
    HostVerdict,
    judge_host,
)


@dataclass(frozen=True)
class Verdict:
    """A commit on a target: the verdict of each host, and whether it is final.

    `command_id`, `roll_out` and `was_cancelled` belong to the commit's newest command.
    `fails_where_set_aside`: the target's `saved` was "fail" when the commit was deployed.
    """

    command_id: str
    roll_out: RollOut
    hosts: tuple[HostVerdict, ...]
    is_final: bool
    expected_hosts: int
    was_cancelled: bool
    fails_where_set_aside: bool = False

    def count(self, *kinds: str) -> int:
        """The number of hosts of these kinds."""
        return sum(host.kind in kinds for host in self.hosts)

    def of(self, *kinds: str) -> tuple[HostVerdict, ...]:
        """The hosts of these kinds."""
        return tuple(host for host in self.hosts if host.kind in kinds)

    @property
    def is_everywhere(self) -> bool:
        """Whether every host is at the commit or offline, and at least one is at it."""
        return (
            self.is_final and self.count(AT) > 0 and self.count(AT, OFFLINE) == self.expected_hosts
        )

    @property
    def told(self) -> "Verdict":
        """The verdict to report: a host that set an edit aside may count as failed."""
        if not self.fails_where_set_aside:
            return self
        hosts = (
            replace(one, kind=FAILED) if one.kind == AT and one.set_aside else one
            for one in self.hosts
        )
        return replace(self, hosts=tuple(hosts))


def judge(
    runs: Iterable[Run],
    *,
    now: datetime,
    others: Iterable[Run] = (),
    asked: Iterable[RollOut] | None = None,
) -> Verdict:
    """The verdict on one commit for one target, from at least one of its runs, in any order.

    `others` are the target's runs of other commits: they may have moved a host away from this one.
    Those after the commit's newest run do not count. `asked` is every roll-out that was sent to the
    target: only these can overtake a host. Without it, a host's own claim is believed. By `now`
    (aware), a host that has not answered an expired command counts as failed.
    """
    ordered = sorted(runs, key=_age)
    newest = ordered[-1]
    elsewhere = [run for run in others if _age(run) < _age(newest)]
    hosts: dict[str, tuple[Invocation, HostVerdict]] = {}
    for run in sorted([*ordered, *elsewhere], key=_age):
        if run.roll_out.commit != newest.roll_out.commit:
            for one in run.invocations:
                if one.instance_id in hosts:
                    hosts[one.instance_id] = (one, _led_away(hosts[one.instance_id][1], one, run))
            continue
        if run.is_settled and run.roll_out.cause != "reconcile":
            # This run was for the whole target: a host that is not in it does not exist any more.
            there = {one.instance_id for one in run.invocations}
            hosts = {id_: known for id_, known in hosts.items() if id_ in there}
        for one in run.invocations:
            known = hosts.get(one.instance_id)
            judged = judge_host(one, run.roll_out)
            hosts[one.instance_id] = (one, _better(known[1], judged, one) if known else judged)
    by_name = sorted(hosts.values(), key=lambda host: (host[0].host, host[0].instance_id))
    verdicts = [verdict for _, verdict in by_name]
    if asked is not None:
        first = ordered[0].roll_out.issued
        newer = {one.commit.sha for one in asked if one.issued > first}
        verdicts = [_checked(one, newer, newest.roll_out, now) for one in verdicts]
    has_expired = all(now > run.command.expires for run in ordered)
    if has_expired:
        verdicts = [
            HostVerdict(one.host, FAILED, "no answer in time") if one.kind in UNDER_WAY else one
            for one in verdicts
        ]
    # A round continues a deploy, so the `saved` of that deploy counts.
    deploys = [run for run in ordered if run.roll_out.cause != "reconcile"] or ordered[:1]
    has_run = newest.is_settled and all(one.kind not in UNDER_WAY for one in verdicts)
    return Verdict(
        command_id=newest.command.id,
        roll_out=newest.roll_out,
        hosts=tuple(verdicts),
        is_final=has_run or has_expired,
        expected_hosts=max(len(hosts), newest.command.target_count),
        was_cancelled=newest.command.is_cancelled,
        fails_where_set_aside=deploys[-1].roll_out.saved == "fail",
    )


def _age(run: Run) -> tuple[int, datetime, str]:
    return age(run.command)


def _better(known: HostVerdict, judged: HostVerdict, invocation: Invocation) -> HostVerdict:
    if known.kind == AT and (not invocation.has_begun or judged.touched_nothing):
        return known
    if not invocation.has_begun and known.kind in {FAILED, OVERTAKEN}:
        return known
    return judged


def _led_away(known: HostVerdict, invocation: Invocation, run: Run) -> HostVerdict:
    if known.kind != AT:
        return known
    led_to = judge_host(invocation, run.roll_out).upstream
    return known if led_to in {"", known.upstream} else HostVerdict(known.host, NOT_BEGUN)


def _checked(
    one: HostVerdict, newer: Collection[str], roll_out: RollOut, now: datetime
) -> HostVerdict:
    """Believe a host that says it was overtaken only if a newer command was sent.

    The host may have fetched a newer push before its delivery reached us: wait for that first.
    """
    if one.kind != OVERTAKEN or one.upstream in newer or (one.is_superseded and newer):
        return one
    if one.ended and now - one.ended < CLOCKS_APART:
        return replace(one, kind=RUNNING)
    words = f"it says that it runs {one.upstream[:7]}, which was never sent"
    if one.upstream in {"", roll_out.commit.sha}:
        words = "it says that a newer command was there first, and none was sent"
    return replace(one, kind=FAILED, words=words)
