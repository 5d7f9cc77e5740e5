"""What hosts reported to run, and since when. It is for people: no decision depends on it."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.history import Invocation, Look, Run
from chalicelib.core.observations import HostVerdict, judge_host
from chalicelib.core.results import HostResult, ResultError, parse_result

_SHA = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Whereabouts:
    """The full commit of a host ("" if unknown), and since when.

    `last` is the verdict on its last run, of the command `command_id` with the commit `asked`
    (short). `local_commits` is how many commits of its own it has on top of the branch's commit.
    """

    commit: str
    since: datetime | None
    last: HostVerdict
    asked: str
    command_id: str = ""
    local_commits: int = 0


def find_heads(looks: Iterable[Look]) -> Mapping[str, str]:
    """Each host's HEAD in its newest check, by instance id; "" if it reported none."""
    found: dict[str, tuple[datetime, str]] = {}
    for look in looks:
        for invocation in look.invocations:
            if invocation.has_answered:
                seen = look.check.ended_on(invocation), _head_in(invocation)
                found[invocation.instance_id] = max(seen, found.get(invocation.instance_id, seen))
    return {id_: head for id_, (_, head) in found.items()}


def find_whereabouts(
    instance_ids: Collection[str], runs: Iterable[Run]
) -> Mapping[str, Whereabouts]:
    """The whereabouts of each host that ever began a run. `runs` are newest first, read lazily.

    A host is at its commit since the run that updated it, else since the oldest known run that
    found it there.
    """
    found: dict[str, Whereabouts] = {}
    left = set(instance_ids)
    if not left:
        return found
    for run in runs:
        for invocation in run.invocations:
            id_ = invocation.instance_id
            if id_ not in left or not invocation.has_answered:
                continue
            verdict = judge_host(invocation, run.roll_out)
            commit = verdict.upstream or _head_in(invocation)
            known = found.get(id_)
            if known is None:
                result = _result_in(invocation)
                found[id_] = Whereabouts(
                    commit,
                    verdict.ended,
                    verdict,
                    asked=run.roll_out.commit.short,
                    command_id=run.command.id,
                    local_commits=result.local_commits if result else 0,
                )
            elif commit == known.commit:
                found[id_] = replace(known, since=verdict.ended)
            if verdict.updated or commit != found[id_].commit:
                left.discard(id_)
        if not left:
            break
    return found


def _head_in(invocation: Invocation) -> str:
    """The HEAD that a host reported, with any local commits; or ""."""
    result = _result_in(invocation)
    after = result.after if result else None
    return after if after and _SHA.fullmatch(after) else ""


def _result_in(invocation: Invocation) -> HostResult | None:
    try:
        return parse_result(invocation.output)
    except ResultError:
        return None
