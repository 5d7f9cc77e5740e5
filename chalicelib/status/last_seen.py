"""What hosts reported to run, and since when. It is for people: no decision depends on it."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.history import Invocation, Look, Run
from chalicelib.core.observations import HostVerdict, judge_host
from chalicelib.core.results import ResultError, parse_result

_SHA = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Whereabouts:
    """The full commit of a host ("" if unknown), and since when. `last` is its last verdict."""

    commit: str
    since: datetime | None
    last: HostVerdict
    asked: str


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
                found[id_] = Whereabouts(commit, verdict.ended, verdict, run.roll_out.commit.short)
            elif commit == known.commit:
                found[id_] = replace(known, since=verdict.ended)
            if verdict.updated or commit != found[id_].commit:
                left.discard(id_)
        if not left:
            break
    return found


def _head_in(invocation: Invocation) -> str:
    """The HEAD that a host reported, with any local commits; or ""."""
    try:
        after = parse_result(invocation.output).after or ""
    except ResultError:
        return ""
    return after if _SHA.fullmatch(after) else ""
