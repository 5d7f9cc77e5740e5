"""A target, its surroundings, and the rounds that bring it to the wanted commit.

Time is in seconds, and passes only in `World.wait`. The promises are checked whenever a command is
sent and whenever a host moves.
"""

from dataclasses import replace
from random import Random

from chalicelib.core.holds import Hold
from chalicelib.core.hosts import Host
from chalicelib.core.plan import PARKED, TargetPlan, plan_target
from chalicelib.core.refs import Branch, CommitSha
from chalicelib.core.targets import Instances, Target
from chalicelib.core.wanted import TargetFacts
from chalicelib.flows.target_runs import Runs
from tests.core.fleet.looks import LookPromises
from tests.core.fleet.machine import Machine
from tests.core.fleet.people import People
from tests.core.fleet.promises import Promises
from tests.core.fleet.sent import Sent, SentRun
from tests.core.fleet.times import DELIVERY_TIMEOUT, HISTORY, HOUR, TIMEOUT, time_of
from tests.fakes import SITE


class World(People):
    """Raises AssertionError if a promise is broken."""

    def __init__(
        self,
        *,
        seed: int = 0,
        hosts: int = 3,
        has_token: bool = True,
        max_concurrency: int = 50,
        max_errors: int = 0,
        update: str = "rebase",
        recheck: str = "6h",
    ) -> None:
        target = Target(
            name="web",
            repository=SITE,
            branch=Branch("main"),
            instances=Instances(tags=(("role", ("web",)),)),
            checkout="/srv/site",
            update=update,
            max_concurrency=str(max_concurrency),
            max_errors=str(max_errors),
            recheck=recheck,
        )
        super().__init__(Random(seed), target, hosts)  # noqa: S311 - how long things take
        self.has_token = has_token
        self.promises = Promises(self, has_token)
        self.look_promises = LookPromises(self)
        self.reads_little = seed % 2 == 1
        self.looks_last = ("web", "job")[seed // 2 % 2]
        self.sent_by_rounds: list[tuple[int, str]] = []  # when, and to which host
        self.hold: Hold | None = None

    def check_move(self, sent: SentRun, machine: Machine, before: str) -> None:
        self.promises.check_move(sent, machine, before)

    def facts(self, *, reads_head: bool = True, lag: int = 0, hidden: int = 0) -> TargetFacts:
        """The facts of a round, without the commands of the last `lag` seconds."""
        known = [sent.as_run(self.now, hidden=hidden) for sent in self._seen(lag)]
        looks = [
            sent.as_look(self.now, hidden=hidden) for sent in self.checks if self._sees(sent, lag)
        ]
        self.random.shuffle(known)
        self.random.shuffle(looks)
        facts = TargetFacts(
            target=self.target,
            hosts=[
                Host(one.id, one.id[-3:], is_online=one.is_awake)
                for one in self.machines
                if one.is_alive
            ],
            runs=[run for run in known if run.roll_out.target == self.target.name],
            head=CommitSha(self.upstream.tip) if self.has_token and reads_head else None,
            pin=self.pin,
            beside=[run for run in known if run.roll_out.target != self.target.name],
            looks=looks,
            hold=self.hold,
        )
        return self._read(facts) if self.reads_little else facts

    def _read(self, facts: TargetFacts) -> TargetFacts:
        """The part of the facts that flows/snapshot.py reads."""
        invocations = {run.command.id: run.invocations for run in [*facts.runs, *facts.beside]}
        invocations |= {look.check.id: look.invocations for look in facts.looks}
        sent = [run.command for run in facts.runs]
        beside = [run.command for run in facts.beside] + [look.check for look in facts.looks]
        asked = [one.roll_out for one in sent]
        first = replace(facts, runs=(), beside=(), looks=(), asked=asked)
        read = Runs(first, sent, beside, time_of(self.now), lambda one: invocations[one.id])
        return read.facts()

    def _seen(self, lag: int = 0) -> list[SentRun]:
        return [sent for sent in self.commands if self._sees(sent, lag)]

    def _sees(self, sent: Sent, lag: int) -> bool:
        return self.now - HISTORY <= sent.requested <= self.now - lag

    def round(
        self, *, reads_head: bool = True, lag: int = 0, hidden: int = 0, delay: int = 0
    ) -> TargetPlan:
        """Plan now, and apply the plan after `delay`, unless the pin changed in between."""
        begun = self.issue_after_all()
        facts = self.facts(reads_head=reads_head, lag=lag, hidden=hidden)
        made = plan_target(facts, now=time_of(self.now))
        self.hold = made.hold
        self.promises.check_plan(made, self._seen(lag))
        if not lag and not hidden:
            self.promises.check_hosts(made)
            if self.checks:
                self.look_promises.check(made, facts)
        held = frozenset(
            sha for sha in self.upstream.parents if self.promises.is_held(sha, self._seen(lag))
        )
        tip, pin_number = self.upstream.tip, self.pin_number
        is_pinned = self.is_pinned

        def apply() -> None:
            if pin_number != self.pin_number:
                return
            for send in made.sends:
                # A command that was sent since the round began wins.
                sent = self.command(
                    send.wanted.commit.sha,
                    begun,
                    "reconcile",
                    update=send.wanted.update,
                    attempt=send.attempt,
                )
                sent.parts = [one for one in sent.parts if one.machine.id in send.instance_ids]
                sent.pin = pin_number if is_pinned else 0
                sent.held, sent.tip = held, tip
                sent.is_way_back = send.wanted.is_way_back
                self.sent_by_rounds += [(self.now, one) for one in send.instance_ids]
                self.send(sent, 0)

        self.soon(delay, apply)
        return made

    # --- The end ----------------------------------------------------------------------------------

    def end_faults(self) -> None:
        """End all faults. Commands under way end, and deliveries under way are lost."""
        for machine in self.machines:
            machine.is_awake, machine.failure, machine.lies = True, "", ""
        self.upstream.bad.clear()
        self.mail.clear()
        self.wait(2 * (DELIVERY_TIMEOUT + TIMEOUT))
        self.wait(6 * HOUR)  # the longest pause, and the longest age of a result
        # An operator's last check neither hides work nor adds work. But if a host reported its last
        # run falsely, a check may find exactly what the host reported.
        honest = [one for one in self.machines if one.is_honest]
        self.check(honest, target=self.looks_last)
        self.check(honest, target="job")
        self.wait(60)

    def unblock(self) -> bool:
        """Push, or send the pinned commit, if a hold or parking stops the rounds."""
        made = plan_target(self.facts(), now=time_of(self.now))
        is_parked = any(one.action == PARKED for one in made.hosts)
        if not made.wanted or not (made.held or is_parked or self._wants_a_removed_commit(made)):
            return False
        if made.wanted.is_exact:
            self.send_pinned()
        else:
            self.push()
            self.deliver(-1)
        self.wait(2 * (DELIVERY_TIMEOUT + TIMEOUT))
        return True

    def _wants_a_removed_commit(self, made: TargetPlan) -> bool:
        """Whether the newest requested commit left the branch, and the tip is unknown."""
        wanted = made.wanted
        return bool(wanted and not self.has_token and self.upstream.is_gone(wanted.commit.sha))

    def two_rounds(self) -> None:
        for _ in range(2):
            self.round()
            self.wait(900)
