"""Rotate a webhook secret without refusing a delivery: first store the new one beside the old.

1. Store the new secret as the first line, above the old ones. All of them are valid.
2. Wait until every Lambda has read it; Lambda remembers a secret for a minute. Otherwise Lambda
   would need an extra look-up for it, and strangers can exhaust the look-up budget.
3. Send a ping to check that the parameter opens the webhook's URL, which may be another stage's.
   Then give the webhook the new secret, and send a ping to check that it signs with it.
4. Wait until all that was signed with an old secret has arrived. Then drop the old ones.

A rotation may stop at any point: every secret in use is valid. A second run continues it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import read_secrets
from chalicelib.edges.parameters import REMEMBERED_SECONDS
from pulley.operator.aws.parameters import Parameters, StoredValue, Written
from pulley.operator.stage.new_secret import new_secret
from pulley.operator.suggest import suggest
from pulley.operator.webhook.hooks import RepositoryHook, Webhooks
from pulley.operator.webhook.pings import Ping

WAIT_SECONDS = REMEMBERED_SECONDS + 10  # and the time of a look-up, or of a delivery
PINGS = 3  # of a webhook: for a moment GitHub may still sign with the old secret
PAUSE_SECONDS = 2.0
_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class StoredSecret:
    """A parameter with secrets as it was read, the newest first."""

    read: StoredValue
    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.read.name

    @property
    def is_rotating(self) -> bool:
        """Whether there are old secrets to drop."""
        return len(self.secrets) > 1

    def seconds_to_wait(self, wait: float, *, now: datetime) -> float:
        """The seconds until every Lambda has read the new secret, by clocks that may differ."""
        if self.read.at and now - self.read.at > timedelta(seconds=wait) + _CLOCKS_APART:
            return 0.0
        return wait


@dataclass(frozen=True)
class Proof:
    """Whether the webhooks sign with the newest secret. `problem` says why not, or ""."""

    repository: Repository
    hooks: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Rotation:
    """The steps for one parameter. Each raises RefusedError and UnavailableError."""

    parameters: Parameters
    name: str
    url: str
    webhooks: Callable[[Repository], Webhooks | None]
    sleep: Callable[[float], None]

    def read(self) -> StoredSecret:
        """Read the stored secrets. Raises UnavailableError if there are none."""
        read = self.parameters.read_one(self.name)
        found = read_secrets(read.value) if read else ()
        if read is None or not found:
            setup = suggest("setup")
            raise UnavailableError(f"no secret is stored in {self.name}: {setup} stores one")
        return StoredSecret(read, found)

    def begin(self) -> StoredSecret:
        """Store a new secret above the others, unless an earlier rotation did so."""
        stored = self.read()
        if stored.is_rotating:
            return stored
        new = new_secret().encode()
        written = self._write(stored.read, (new, *stored.secrets))
        if written.overwritten:
            self._keep_theirs(written, new, stored)
        return self.read()

    def prove(self, repository: Repository, newest: bytes, *, set_it: bool) -> Proof:
        """Give the repository's webhooks the newest secret, and check that they sign with it.

        A webhook is left alone unless a ping shows that this parameter opens its URL. Without
        `set_it` the webhooks are only checked. What GitHub refuses is the proof's problem.
        """
        try:
            webhooks = self.webhooks(repository)
            if webhooks is None:
                return Proof(repository, problem="there is no token for GitHub")
            hooks = webhooks.posting_to(self.url)
            if not hooks:
                return Proof(repository, problem=f"none of its webhooks posts to {self.url}")
            problems = [self._prove_hook(webhooks, hook, newest, set_it=set_it) for hook in hooks]
        except PulleyError as error:
            return Proof(repository, problem=error.in_full)
        return Proof(repository, len(hooks), "; ".join(problem for problem in problems if problem))

    def check(self, expected: StoredSecret) -> None:
        """Raise UnavailableError if somebody else has changed the secrets."""
        if self.read().secrets != expected.secrets:
            raise UnavailableError(
                f"somebody else changed {self.name} meanwhile. Nothing was dropped: look who it "
                f"was, then run {suggest('secret rotate')} again"
            )

    def end(self, expected: StoredSecret) -> int:
        """Drop the old secrets. Returns their number."""
        self.check(expected)
        current = self.read()
        written = self._write(current.read, expected.secrets[:1])
        if written.overwritten:
            self._put_back(written)
            self.check(expected)
        return len(expected.secrets) - 1

    def _prove_hook(
        self, webhooks: Webhooks, hook: RepositoryHook, newest: bytes, *, set_it: bool
    ) -> str:
        """What is wrong, or ""."""
        if not hook.active:
            return f"its webhook {hook.id} is switched off, and cannot be pinged"
        ping = webhooks.ping(hook)
        is_ours = ping.opened_by == self.name
        if set_it and is_ours and not ping.has_newest_of(self.name):
            webhooks.set_secret(hook, newest.decode())
            ping = self._ping_with_newest(webhooks, hook)
        if ping.has_newest_of(self.name):
            return ""
        answer = f"the ping of its webhook {hook.id} was answered {ping.code}"
        if ping.said or ping.status:
            answer += f": {ping.said or ping.status}"
        if is_ours:
            return answer
        return (
            f"{answer}. No ping shows that a secret in {self.name} is valid at {self.url}, so the "
            "webhook was not changed"
        )

    def _ping_with_newest(self, webhooks: Webhooks, hook: RepositoryHook) -> Ping:
        ping = webhooks.ping(hook)
        for _ in range(PINGS - 1):
            if ping.has_newest_of(self.name):
                break
            self.sleep(PAUSE_SECONDS)
            ping = webhooks.ping(hook)
        return ping

    def _write(self, read: StoredValue, lines: Sequence[bytes]) -> Written:
        return self.parameters.write(
            self.name,
            b"\n".join(lines).decode(),
            read=read,
            is_secret=True,
            tier="Advanced" if self.parameters.tier(self.name) == "Advanced" else "Standard",
        )

    def _keep_theirs(self, written: Written, new: bytes, stored: StoredSecret) -> None:
        """Keep valid what somebody else stored at the same moment.

        If that was a rotation too, theirs goes on.
        """
        if written.overwritten is None:
            return
        theirs = read_secrets(written.overwritten.value)
        if len(theirs) > 1:
            self._put_back(written)
            return
        lines = dict.fromkeys([new, *theirs, *stored.secrets])
        self._write(StoredValue(self.name, "", written.version), tuple(lines))

    def _put_back(self, written: Written) -> None:
        if written.overwritten:
            read = replace(written.overwritten, version=written.version)
            self._write(read, read_secrets(written.overwritten.value))


def repositories_of(
    parameters: Parameters,
    own_name: Callable[[Repository], str],
    repositories: Sequence[Repository],
) -> list[Repository]:
    """The repositories without a secret of their own: the stage's secret opens them."""
    own = parameters.read(*(own_name(one) for one in repositories)) if repositories else {}
    return [repository for repository in repositories if own_name(repository) not in own]
