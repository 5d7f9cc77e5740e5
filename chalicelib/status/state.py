"""What runs where, as one JSON document: `pulley status --json`, and `state.json` of the page.

docs/page.md has its shape. Programs read the data, people the words.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from chalicelib.core.errors import PulleyError
from chalicelib.core.history import Run
from chalicelib.core.observations import FAILED, RUNNING, judge_host
from chalicelib.core.observations import WAITING as NOT_BEGUN_YET
from chalicelib.core.plan import NOTHING, PARKED, SEND
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.status.deploys import Deploy
from chalicelib.status.outputs import Outputs
from chalicelib.status.overview import BROKEN, DRIFTED, THERE, HostStanding, Standing, Standings
from chalicelib.status.safe_text import one_line
from chalicelib.status.subjects import Subjects
from chalicelib.status.words import cause_words, host_words

VERSION = 1  # of the document's shape
MOST_OUTPUTS = 10  # failed hosts of a target whose output is read: each costs a call
MOST_OUTPUTS_IN_ALL = 100  # each has up to 10 kB, and Lambda's answer at most 6 MB
# The state of a host, beside the places of overview.py.
HOST_FAILED, HOST_PARKED, ASLEEP, OLD = "failed", "parked", "asleep", "old"


@dataclass(frozen=True)
class Surroundings:
    """Where the stage is, for links. `github` is the address of its pages; "" if unknown.

    `in_full`: whether errors are shown with AWS's own words, which may name the account.
    """

    stage: str
    region: str
    github: str = ""
    in_full: bool = True


def state_of(
    seen: Standings, at: Surroundings, subjects: Subjects, outputs: Outputs
) -> dict[str, object]:
    """The document. Raises RefusedError and UnavailableError."""
    tokens = seen.view.snapshot.branches.tokens
    targets = []
    outputs_left = iter(range(MOST_OUTPUTS_IN_ALL))
    for one in seen.standings:
        repository = one.target.repository
        token, others = tokens.get(repository, ""), [host.commit for host in one.hosts]
        told = subjects.of(repository, _commits_of(one), token, others=others)
        targets.append(target_state(one, seen, told, outputs, outputs_left))
    return {
        "version": VERSION,
        "stage": at.stage,
        "region": at.region or None,
        "github": at.github or None,
        "at": seen.view.snapshot.now,
        "targets": targets,
        "failed": [
            {"target": name, "reason": error.in_full if at.in_full else str(error)}
            for name, error in seen.failed
        ],
        "problems": seen.problems,
    }


def target_state(
    standing: Standing,
    seen: Standings,
    subjects: Mapping[str, str],
    outputs: Outputs,
    outputs_left: Iterator[object],
) -> dict[str, object]:
    """One target of the document. `subjects` has the subjects of its commits, by SHA.

    `outputs_left` has an item for each output that may still be read.
    """
    target, now = standing.target, seen.view.snapshot.now
    return target_facts(standing, seen) | {
        "environment": target.environment or target.name,
        "url": target.url or None,
        "subjects": subjects,
        "pinned": _pin_of(standing, now),
        "next": next_of(standing),
        "well": is_well(standing),
        "newest": _newest(standing.newest) if standing.newest else None,
        "hosts": _hosts(standing, now, outputs, outputs_left),
    }


def target_facts(standing: Standing, seen: Standings) -> dict[str, object]:
    """A target's facts that `pulley plan --json` has, too."""
    return {
        "target": standing.target.name,
        "repository": standing.target.repository,
        "branch": standing.target.branch,
        "tag": standing.target.tag,
        "wanted": standing.plan.wanted,
        "tip": standing.facts.head,
        "tip_from": standing.tip_from or None,
        "pin": pin_words(standing, seen.view.snapshot.now) or None,
        "held": standing.plan.held or None,
        "waiting": standing.waiting,
    }


def is_well(standing: Standing) -> bool:
    """Whether the target has hosts, and each one that is online is at the wanted commit.

    The hosts of a frozen target are well where they are, unless a checkout has drifted. If the
    target has `saved = "fail"`, a host whose edit was set aside is not well until a person has
    dropped it.
    """
    pin, fails = standing.facts.pin, standing.target.saved == "fail"
    is_frozen = standing.plan.wanted is None and pin is not None and pin.state == "frozen"
    awake = [one for one in standing.hosts if one.host.is_online]
    is_known = standing.plan.wanted is not None or is_frozen
    return (
        is_known
        and bool(standing.hosts)
        and all(
            (is_frozen or one.is_there) and not one.has_drifted and not (fails and one.set_aside)
            for one in awake
        )
    )


def pin_words(standing: Standing, now: datetime) -> str:
    """The pin that holds now, or ""."""
    pin = standing.facts.pin
    return one_line(str(pin)) if pin and pin.holds(now) else ""


def last_words(host: HostStanding) -> str:
    """What a host runs now, or how its last run ended; "" if none is known."""
    if host.running:
        roll_out = host.running.roll_out
        what = "waiting for its turn" if host.is_waiting else "running"
        what = what if host.host.is_online else "waiting until it is online"
        return f"{what}: {roll_out.commit.short}, {cause_words(roll_out)}"
    if host.whereabouts is None:
        return ""
    last = host.whereabouts.last
    is_seen_to = last.set_aside != "" and not host.set_aside
    return host_words(last, host.whereabouts.asked) + (" (seen to since)" if is_seen_to else "")


def state_of_host(host: HostStanding, target: Target, now: datetime) -> str:
    """How a host stands, in a word: what a person has to know first comes first."""
    if host.place in {RUNNING, NOT_BEGUN_YET, DRIFTED}:
        return host.place
    if host.plan.action == PARKED:
        return HOST_PARKED
    last = host.whereabouts.last if host.whereabouts else None
    has_failed = last is not None and last.kind == FAILED and not host.is_there
    if host.place == BROKEN or (has_failed and host.wanted):
        return HOST_FAILED
    if not host.host.is_online:
        return ASLEEP
    if host.place == THERE and host.plan.seen and now - host.plan.seen > target.recheck_after:
        return OLD
    return host.place


def next_of(standing: Standing) -> list[dict[str, object]]:
    """What the next round will do, and why, with the number of hosts for which it is the same."""
    found = Counter(
        (_action(one), one.plan.reason, one.wanted)
        for one in standing.hosts
        # A frozen target wants no commit, but a host that comes new gets one.
        if one.plan.action != NOTHING and (standing.plan.wanted or one.plan.wanted)
    )
    return [
        {
            "action": action,
            "commit": commit or None,
            "reason": reason,
            "hosts": count,
        }
        for (action, reason, commit), count in found.most_common()
    ]


def _action(host: HostStanding) -> str:
    if host.is_later:
        return "later"
    is_recheck = host.plan.action == SEND and not host.plan.attempt
    return "recheck" if is_recheck else host.plan.action


def run_facts(run: Run) -> list[dict[str, object]]:
    """Each host's part of a command, for JSON."""
    found = sorted(run.invocations, key=lambda one: (one.host, one.instance_id))
    rows: list[dict[str, object]] = []
    for one in found:
        verdict = judge_host(one, run.roll_out)
        rows.append(
            {
                "host": one.host,
                "instance_id": one.instance_id,
                "kind": verdict.kind,
                "words": host_words(verdict, run.roll_out.commit.short),
                "commit": verdict.upstream or None,
                "status": one.details,
                "ended": one.ended,
            }
        )
    return rows


def _commits_of(standing: Standing) -> Sequence[CommitSha]:
    """The commits that the target's view names, the newest first: GitHub tells those before it."""
    found: Iterable[CommitSha | None] = (
        standing.facts.head,
        standing.waiting.commit if standing.waiting else None,
        standing.plan.wanted.commit if standing.plan.wanted else None,
        standing.newest.roll_out.commit if standing.newest else None,
    )
    return [one for one in found if one is not None]


def _pin_of(standing: Standing, now: datetime) -> dict[str, object] | None:
    pin = standing.facts.pin
    if pin is None or not pin.holds(now):
        return None
    return {
        "state": pin.state,
        "commit": pin.commit,
        "reason": one_line(pin.reason) or None,
        "until": pin.until,
        "by": one_line(pin.by) or None,
        "since": pin.at,
    }


def _newest(newest: Deploy) -> dict[str, object]:
    return {
        "command_id": newest.command.id,
        "commit": newest.roll_out.commit,
        "cause": newest.roll_out.cause,
        "by": newest.roll_out.by or None,
        "at": newest.at,
        "ended": newest.ended,
        "seconds": newest.seconds,
        "seconds_since_push": newest.seconds_since_push,
        "state": newest.status.state,
        "description": newest.status.description,
        "hosts": run_facts(newest.run),
    }


def _hosts(
    standing: Standing, now: datetime, outputs: Outputs, outputs_left: Iterator[object]
) -> list[dict[str, object]]:
    hosts = [_host(one, standing, now) for one in standing.hosts]
    failed = (one for one in hosts if one["state"] in {HOST_FAILED, HOST_PARKED})
    shown = islice((one for one in failed if one["command_id"]), MOST_OUTPUTS)
    for one, _ in zip(shown, outputs_left, strict=False):
        with suppress(PulleyError):  # the page is of use without an output
            one["output"] = outputs.end_of(str(one["command_id"]), str(one["instance_id"])) or None
    return hosts


def _host(host: HostStanding, standing: Standing, now: datetime) -> dict[str, object]:
    known = host.whereabouts
    return {
        "host": host.host.name,
        "instance_id": host.host.instance_id,
        "online": host.host.is_online,
        "commit": host.commit or None,
        "wanted": host.wanted or None,
        "there": host.is_there if host.wanted else None,
        "since": host.since,
        "seen": host.plan.seen,
        "drifted": host.has_drifted,
        "set_aside": host.set_aside or None,
        "place": host.place or None,
        "state": state_of_host(host, standing.target, now) or None,
        "last": last_words(host) or None,
        "command_id": known.command_id if known else None,
        "local_commits": known.local_commits if known else 0,
        "action": host.plan.action,
        "later": host.is_later,
        "attempt": host.plan.attempt,
        "reason": host.plan.reason,
        "output": None,
    }
