"""Deliveries of every kind, and functions that take them in parallel, as in Lambda."""

import json
import queue
import random
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.app.stage import github_headers, rest_event
from tests.deploy.runtime import Function
from tests.fakes import SECRET, push_json, target_json

REPOSITORIES = [f"octo/site-{number}" for number in range(24)]
# Shares of a hundred deliveries. Half of them send commands, more than in practice.
SHARES = {"push": 50, "other branch": 28, "ping": 4, "forged": 12, "forged, made up": 6}


def targets_of(full_name: str) -> list[dict[str, object]]:
    """A repository's targets: one; every third repository has two."""
    number = int(full_name.rpartition("-")[2])
    names = ["web", "api"] if number % 3 == 0 else ["web"]
    return [target_json(f"{name}-{number}", repository=full_name) for name in names]


@dataclass(frozen=True)
class Sent:
    """A delivery: `kind` is a key of SHARES, `targets` should get the commit."""

    kind: str
    guid: str
    event: dict[str, Any]
    commit: str
    targets: tuple[str, ...]

    @property
    def is_genuine(self) -> bool:
        """Whether GitHub has sent it."""
        return not self.kind.startswith("forged")


def deliveries(count: int, seed: int) -> Iterator[Sent]:
    """`count` deliveries, each with its own GUID and commit; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - must be repeatable
    for kind in chance.choices(list(SHARES), list(SHARES.values()), k=count):
        guid = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        commit = f"{chance.getrandbits(160):040x}"
        full_name = chance.choice(REPOSITORIES)
        if kind == "forged, made up":
            full_name = f"stranger/{commit[:8]}"
        ref = f"refs/heads/{'feature' if kind == 'other branch' else 'main'}"
        payload = push_json(after=commit, ref=ref, repository={"full_name": full_name})
        body = json.dumps(payload).encode()
        headers = github_headers(
            body,
            event="ping" if kind == "ping" else "push",
            secret="guessed" if kind.startswith("forged") else SECRET,
        )
        event = rest_event(headers | {"X-GitHub-Delivery": guid}, body.decode())
        names = [str(one["name"]) for one in targets_of(full_name)] if kind == "push" else []
        yield Sent(kind, guid, event, commit, tuple(names))


@dataclass(frozen=True)
class Answered:
    """A delivery and its answer."""

    sent: Sent
    status: int
    body: dict[str, Any]

    @property
    def deployed(self) -> set[tuple[str, str]]:
        """Target and command id, as the answer has them."""
        return {(one["target"], one["command_id"]) for one in self.body.get("deployments", [])}


def deliver(
    functions: Sequence[Function], sent: Iterable[Sent], *, a_second: float
) -> list[Answered]:
    """Every answer, in the order of the deliveries.

    They arrive at a fixed rate. A function takes one at a time; if all are busy, a delivery waits,
    while Lambda would start one more function.
    """
    idle: queue.SimpleQueue[Function] = queue.SimpleQueue()
    for function in functions:
        idle.put(function)

    def take(one: Sent) -> Answered:
        function = idle.get()
        try:
            assert function.pid  # fails at once if the process has ended
            answer = function.invoke(one.event)
        finally:
            idle.put(function)
        assert answer.kind == "response", answer
        return Answered(one, answer.body["statusCode"], json.loads(answer.body["body"]))

    with ThreadPoolExecutor(len(functions)) as pool:
        began, under_way = time.monotonic(), []
        for number, one in enumerate(sent):
            time.sleep(max(0.0, began + number / a_second - time.monotonic()))
            under_way.append(pool.submit(take, one))
        return [one.result() for one in under_way]


def resident_bytes(function: Function) -> int:
    """The memory of its process that is not swapped out. proc(5): `VmRSS`, in KiB."""
    status = Path(f"/proc/{function.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
