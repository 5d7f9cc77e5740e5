"""Plans hosts that Auto Scaling holds out of service until they have their commit.

Such a host serves nobody. So it need not wait for a roll-out, a freeze does not keep it from its
first commit, and a commit that fails on it is replaced by the one that its peers run.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.attempts import has_failed_at, runs_by_host
from chalicelib.core.holds import most_run
from chalicelib.core.observations import newest_observations
from chalicelib.core.pins import FROZEN
from chalicelib.core.plan import PARKED, SEND, WAIT, Case, HostPlan, TargetPlan, own_runs, plan_host
from chalicelib.core.refs import CommitSha
from chalicelib.core.wanted import TargetFacts, Wanted, newest_asked, tag_beside_pin

# After a run that touched nothing: user data may not have made the checkout or its owner yet.
BACKOFF = timedelta(minutes=1)
ATTEMPTS = 2  # at a commit that its peers run: the failure may have been chance


def with_launches(plan: TargetPlan, facts: TargetFacts, *, now: datetime) -> TargetPlan:
    """The plan of a target, in which the hosts that are being launched are planned anew."""
    if not facts.launching:
        return plan
    hosts = tuple(_planned(plan, facts, now))
    return replace(plan, hosts=hosts, launching=facts.launching)


def _planned(plan: TargetPlan, facts: TargetFacts, now: datetime) -> Iterator[HostPlan]:
    own = own_runs(facts)
    seen = newest_observations([*own, *facts.beside], facts.looks)
    by_host, peers = runs_by_host(own), _peers_commit(facts)
    for one in plan.hosts:
        id_ = one.host.instance_id
        runs = by_host.get(id_, ())
        has_failed = plan.wanted is not None and has_failed_at(runs, plan.wanted.commit)
        wanted = _wanted(plan, facts, peers, has_failed=has_failed)
        if id_ not in facts.launching or wanted is None:
            yield one
            continue
        case = replace(Case.of(facts, wanted, now), is_rolling_out=False)
        made = plan_host(one.host, runs, seen.get(id_), case)
        yield _tried_again(made, now, has_peers=wanted.commit == peers)


def _wanted(
    plan: TargetPlan, facts: TargetFacts, peers: CommitSha | None, *, has_failed: bool
) -> Wanted | None:
    """The commit for one of these hosts; None to leave the host as it is planned.

    `has_failed`: it has failed at the target's wanted commit. A pin names its commit: no other
    replaces that.
    """
    wanted, pin = plan.wanted, facts.pin
    if wanted is None:
        return _way_back(facts, peers) if pin and pin.state == FROZEN else None
    good = plan.hold.good if plan.hold and plan.held else None
    if wanted.is_exact or (good is None and not has_failed):
        return None if plan.held and has_failed else wanted
    other = good or peers
    if other in {None, wanted.commit}:
        return None if plan.held else wanted
    return _way_back(facts, other)


def _way_back(facts: TargetFacts, commit: CommitSha | None) -> Wanted | None:
    tag = tag_beside_pin(facts)
    if commit is None or (facts.target.tag and not tag):
        return None
    return Wanted(commit, "exact", "its peers run it", is_way_back=True, tag=tag)


def _peers_commit(facts: TargetFacts) -> CommitSha | None:
    """The commit that most other hosts run, or ran before they were gone; or that was sent last."""
    runs = [*own_runs(facts), *facts.beside]
    others = {one.instance_id for one in facts.hosts} - facts.launching
    newest, hold = newest_asked(facts), facts.hold
    last = hold.good if hold and hold.commit == newest else newest
    return most_run([run.on(others) for run in runs], None) or most_run(runs, None) or last


def _tried_again(made: HostPlan, now: datetime, *, has_peers: bool) -> HostPlan:
    """Try again soon, if the run touched nothing, or once more, if the host's peers run it."""
    failed = made.failed
    if failed is None or made.action not in {WAIT, PARKED, SEND}:
        return made
    if failed.touched_nothing:
        if now >= failed.ended + BACKOFF:
            return replace(made, action=SEND, reason=failed.words or "it had not begun", attempt=1)
        return replace(made, action=WAIT, reason=f"{failed.words}: it is tried again in a minute")
    if has_peers and made.action == WAIT and failed.attempts < ATTEMPTS:
        return replace(made, action=SEND, reason=failed.words, attempt=ATTEMPTS)
    return made
