"""A webhook secret is rotated without a delivery refused: the new one beside the old one first.

1. The new secret is stored as the first line, with the old ones below it: each of them is valid.
2. Lambda remembers what it read for a minute. A webhook is told of the new one when all of it must
   have it: so nothing hangs on the look-up that a secret not known costs, of which strangers can
   leave none.
3. A ping shows that the parameter opens the address that a webhook posts to: it may be of another
   stage. Then the webhook is given the new secret, and a ping shows that it signs with it.
4. What was signed with an old one must have arrived. Then the old ones are dropped.

Wherever this ends, both are valid, or nobody uses what is not; a second run goes on.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import read_secrets
from chalicelib.edges.parameters import REMEMBERED_SECONDS
from pulley.operator.aws.parameters import Parameters, StoredValue, Written
from pulley.operator.suggest import suggest
from pulley.operator.webhook.hooks import RepositoryHook, Webhooks
from pulley.operator.webhook.pings import Ping

WAIT_SECONDS = REMEMBERED_SECONDS + 10  # and what a look-up, or a delivery, takes
SECRET_BYTES = 32
PINGS = 3  # of a webhook: GitHub may sign with what it had before, for a moment
PAUSE_SECONDS = 2.0
_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class StoredSecret:
    """A parameter of secrets as it was read, newest first."""

    read: StoredValue
    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The parameter's."""
        return self.read.name

    @property
    def is_rotating(self) -> bool:
        """Whether there is an old one to be dropped."""
        return len(self.secrets) > 1

    def seconds_to_wait(self, wait: float, *, now: datetime) -> float:
        """How long until no Lambda remembers what was stored before, by clocks that may differ."""
        if self.read.at and now - self.read.at > timedelta(seconds=wait) + _CLOCKS_APART:
            return 0.0
        return wait


@dataclass(frozen=True)
class Proof:
    """Whether its webhooks sign with the newest secret. `problem` says why not, or ""."""

    repository: Repository
    hooks: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Rotation:
    """The steps, on one parameter. Each raises RefusedError and UnavailableError."""

    parameters: Parameters
    name: str
    url: str
    webhooks: Callable[[Repository], Webhooks | None]
    sleep: Callable[[float], None]

    def read(self) -> StoredSecret:
        """What is stored now. UnavailableError where nothing is."""
        read = self.parameters.read_one(self.name)
        found = read_secrets(read.value) if read else ()
        if read is None or not found:
            setup = suggest("setup")
            raise UnavailableError(f"no secret is stored in {self.name}: {setup} stores one")
        return StoredSecret(read, found)

    def begin(self) -> StoredSecret:
        """Store a new secret above those that are there, unless one is there above an old one."""
        stored = self.read()
        if stored.is_rotating:
            return stored
        new = secrets.token_hex(SECRET_BYTES).encode()
        written = self._write(stored.read, (new, *stored.secrets))
        if written.overwritten:
            self._mend(written, new, stored)
        return self.read()

    def prove(self, repository: Repository, newest: bytes, *, set_it: bool) -> Proof:
        """Give the repository's webhooks the newest secret, and see that they sign with it.

        Where no ping shows that this parameter opens the address, a webhook is left as it is.
        Without `set_it` they are only seen to. What GitHub does not take is the proof's problem.
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
        return Proof(repository, len(hooks), "; ".join(one for one in problems if one))

    def check(self, expected: StoredSecret) -> None:
        """UnavailableError where somebody else stored something since."""
        if self.read().secrets != expected.secrets:
            raise UnavailableError(
                f"somebody else changed {self.name} meanwhile. Nothing was dropped: look who it "
                f"was, then run {suggest('secret rotate')} again"
            )

    def end(self, expected: StoredSecret) -> int:
        """Drop the old secrets. Returns how many they were."""
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
            f"{answer}. So {self.name} is not seen to open {self.url}: the webhook was left alone"
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

    def _mend(self, written: Written, new: bytes, stored: StoredSecret) -> None:
        """Somebody else stored secrets in the same moment: theirs must stay valid.

        Where it was a rotation too, it is theirs that goes on.
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
    """Those of the repositories without a secret of their own: the stage's one opens them."""
    own = parameters.read(*(own_name(one) for one in repositories)) if repositories else {}
    return [one for one in repositories if own_name(one) not in own]
