"""The world of a schedule: it runs the real flows. Time is in seconds and passes in `wait`."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random

from chalicelib.core.deployments import Cause
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.targets import parse_stored_targets
from chalicelib.core.webhook import Delivery
from chalicelib.flows.catch_up import CatchUp
from chalicelib.flows.deploy import Deployer
from chalicelib.flows.gates import GateReader
from chalicelib.flows.launches import LaunchCompleter
from chalicelib.flows.notify import Memory, Notifier
from chalicelib.flows.receive import Receiver
from chalicelib.flows.reconcile import Reconciler
from chalicelib.flows.release import Releaser
from chalicelib.flows.report import Reporter
from chalicelib.flows.round import PlanSender
from chalicelib.flows.snapshot import Reader
from chalicelib.flows.sync import DeploymentSync
from chalicelib.flows.verify import Verifier
from pulley.operator.deploy.issue_time import issue_time
from pulley.operator.deploy.send import SilentJournal
from tests.core.fleet.account import Account
from tests.core.fleet.machine import Machine
from tests.core.fleet.sent import Part, SentRun
from tests.core.fleet.times import START, time_of
from tests.fakes import (
    NAMES,
    SECRET,
    SITE,
    STAGE,
    TOKEN,
    FakeGroups,
    delivery_of,
    push_json,
    targets_text,
)
from tests.flows.gates.aws import Directory, GatedRun, Parameters, RunCommand, Waker
from tests.flows.gates.github import Announcements, Site
from tests.flows.gates.hosts import Host
from tests.flows.gates.layout import Layout, is_window_open
from tests.flows.gates.promises import Act, Promises
from tests.flows.runs import event_of

INTERVAL = 900
CHECKS = ("test", "lint")


class World(Account):
    """Raises AssertionError if a promise is broken.

    `losses` is the share of events that get lost, or come late or twice: each a third of it.
    """

    def __init__(
        self, layout: Layout, *, seed: int = 0, begins: int = 0, losses: float = 0
    ) -> None:
        text = targets_text(*layout.tables())
        self.targets = {one.name: one for one in parse_stored_targets(text, SITE)}
        super().__init__(Random(seed), next(iter(self.targets.values())), 0)  # noqa: S311 - how long things take
        self.layout, self.losses, self.now = layout, losses, begins
        self.nodes = {layout.name(place): node for place, node in enumerate(layout.nodes)}
        numbers = count(1)
        self.hosts = {
            name: [Host(f"i-{next(numbers):017x}") for _ in range(node.hosts)]
            for name, node in self.nodes.items()
        }
        self.machines: list[Machine] = [one for hosts in self.hosts.values() for one in hosts]
        self.pins = dict.fromkeys(self.nodes, Pin("none"))
        self.runs: list[GatedRun] = []
        self._untold: list[GatedRun] = []  # their last events are not on their way yet
        self.number = 0
        self.refuses = False  # whether Systems Manager takes no command
        self.acts: list[Act] = []
        self._is_woken = self.is_silent = False
        self.ticks = self.interrupted_at = 0
        self._interrupt: tuple[int, Callable[[], object]] | None = None
        self.site = Site(self.upstream, lambda: time_of(self.now), self.tick)
        self._build(text)
        self.promises = Promises(self)

    def _build(self, text: str) -> None:
        values = {NAMES.targets(SITE): text, NAMES.webhook_secret: SECRET}
        self.parameters = Parameters(self, values | {NAMES.github_token: TOKEN})
        journal, commands, announcements = (
            SilentJournal(),
            RunCommand(self),
            Announcements(self.site),
        )

        def clock() -> datetime:
            return time_of(self.now)

        deployer = Deployer(STAGE, self.parameters, commands, announcements, journal)
        self.people = Deployer(STAGE, self.parameters, commands, None, journal)
        reader = Reader(STAGE, self.parameters, Directory(self), commands, self.site.of, journal)
        sync = DeploymentSync(
            STAGE,
            self.parameters,
            commands,
            self.site.of,
            Notifier(STAGE, None, journal, lambda _id: ""),
            journal,
            Memory(),
        )
        interval = timedelta(seconds=INTERVAL)
        self.history = commands
        self.receiver = Receiver(
            Verifier(allow_sha1=False, parameters=self.parameters), deployer, Waker(self), journal
        )
        self.reporter = Reporter(
            STAGE, commands, sync, self.parameters, Waker(self), journal, lambda _seconds: None
        )
        self.reconciler = Reconciler(
            stored=self.parameters,
            reader=reader,
            releaser=Releaser(STAGE, GateReader(reader), self.site.of, deployer, journal, clock),
            catch_up=CatchUp(reader, sync, interval),
            sender=PlanSender(STAGE, self.parameters, reader, commands, journal, clock),
            launches=LaunchCompleter(STAGE, FakeGroups(), None, journal),
            journal=journal,
            interval=interval,
            clock=clock,
        )

    # --- The flows --------------------------------------------------------------------------------

    @contextmanager
    def acting(self, who: str) -> Iterator[Act]:
        act = Act(who, self.now, self.upstream.tip, dict(self.pins))
        self.acts.append(act)
        try:
            yield act
        finally:
            self.acts.pop()

    def tick(self) -> None:
        """A flow calls AWS or GitHub: something else may happen first."""
        self.ticks += 1
        if self._interrupt is None:
            return
        left, act = self._interrupt
        self._interrupt = (left - 1, act) if left else None
        if not left:
            act()
            self.interrupted_at = self.ticks

    def round(
        self,
        *,
        only: Repository | None = None,
        interrupt: tuple[int, Callable[[], object]] | None = None,
    ) -> None:
        """A round. `interrupt` is what happens at which call of it."""
        due = (
            {} if only or interrupt or self.acts or not self._is_settled() else self.promises.due()
        )
        self.site.has_failed = False
        with self.acting("round") as act, suppress(PulleyError):
            if interrupt:
                act.open_before = self.promises.all_open()
                self._interrupt = interrupt
            self.reconciler.reconcile(seconds_left=lambda: 900.0, only=only)
        if not self.acts:
            self._interrupt = None
        if not self.site.has_failed and not self.refuses:
            self.promises.check_sent(due)

    def _is_settled(self) -> bool:
        """Whether AWS lists everything that has happened."""
        for sent in self.runs[-40:]:
            ends = [part.ended or 0 for part in sent.parts]
            if max([sent.requested, *ends]) > self.now - 60:
                return False
        return True

    def receive(self, delivery: Delivery) -> None:
        with self.acting("webhook"), suppress(PulleyError):
            self.receiver.receive(delivery, now=time_of(self.now))

    def report(self, sent: GatedRun, tries: int = 3) -> None:
        """EventBridge tells that a command is over; Lambda retries twice."""
        status = sent.as_command(self.now).status
        try:
            with self.acting("report"):
                self.reporter.report(event_of(sent.number, status), now=time_of(self.now))
        except UnavailableError:
            if tries > 1:
                self.soon(60, lambda: self.report(sent, tries - 1))

    # --- Events on their way ----------------------------------------------------------------------

    def emit(self, event: Callable[[], None]) -> None:
        """An event comes soon; or it is lost, or comes late or twice, and so after later events."""
        if self.is_silent:
            return
        fate = self.random.random() / self.losses if self.losses else 1.0
        if fate > 2 / 3:
            self.soon(self.random.choice((1, 1, 2, 5)), event)
        if 1 / 3 < fate < 1:
            self.soon(self.random.choice((60, 600, 3600)), event)

    def start_soon(self, repository: Repository) -> None:
        """Start a round; only one, if another one has not begun yet: both would read the same."""

        def begin() -> None:
            self._is_woken = False
            self.round(only=repository)

        if not self._is_woken:
            self._is_woken = True
            self.soon(self.random.choice((1, 1, 3)), begin)

    def begin(self, sent: GatedRun) -> None:
        """Run Command has taken a command."""
        self.runs.append(sent)
        self._untold.append(sent)
        self.commands.append(sent)
        self._open.append(sent)

    def _work(self) -> None:
        super()._work()
        over = [sent for sent in self._untold if sent.is_over]
        self._untold = [sent for sent in self._untold if sent not in over] if over else self._untold
        for sent in over:
            self.emit(partial(self.report, sent))

    def _deploy(self, sent: SentRun, part: Part) -> None:
        host = part.machine
        assert isinstance(host, Host)
        before = host.standing
        super()._deploy(sent, part)
        line = json.loads(part.output)
        ended = time_of(part.told or 0)
        at = min(max(ended, time_of(sent.requested)), time_of(sent.expires))
        host.note_result(before, sent, line, now=self.now, at=at)
        if line["upstream"]:
            self.promises.reported[sent.roll_out.target].add(line["upstream"])

    def check_move(self, sent: SentRun, machine: Machine, before: str) -> None:
        self.promises.check_move(sent, before, machine.ran)

    # --- What people and CI do --------------------------------------------------------------------

    def push(self, *, is_bad: bool = False, parent: str = "", has_ci: bool = True) -> str:
        """Push a commit. Its checks end some time later, or never."""
        self.upstream.push(parent)
        commit = self.upstream.tip
        if is_bad:
            self.upstream.bad.add(commit)
        self._deliver_push()
        for name in CHECKS if has_ci else ():
            state = self.random.choice(("success", "success", "success", "failure", ""))
            if state:
                delay = self.random.choice((1, 30, 300, 1500))
                self.soon(delay, partial(self.set_check, commit, name, state))
        return commit

    def force_push(self, number: int) -> None:
        """Remove the tip from the branch, replace it or some commits, or go back to an old line."""
        parent = self.upstream.parents[self.upstream.tip]
        if number % 4 == 3:
            self.upstream.force(self.upstream.tips[number % len(self.upstream.tips)])
            self._deliver_push()
        elif parent:
            self.upstream.was_forced = True
            if number % 4 == 0:
                self.upstream.force(parent)
                self._deliver_push()
            else:
                self.push(parent=self.upstream.parents[parent] or parent)
        self.site.has_forgotten = number % 3 == 0

    def _deliver_push(self) -> None:
        self.emit(partial(self.receive, self.delivery()))

    def delivery(self) -> Delivery:
        """The delivery of a push that happens now."""
        pushed = int(time_of(self.now).timestamp())
        facts = {"full_name": "octo/site", "default_branch": "main", "pushed_at": pushed}
        return delivery_of(push_json(after=self.upstream.tip, repository=facts))

    def set_check(self, commit: str, name: str, state: str) -> None:
        self.site.checks.setdefault(commit, {})[name] = state
        facts: dict[str, object] = {"repository": {"full_name": "octo/site"}}
        if name == "lint":
            event = "status"
            facts |= {"state": state, "sha": commit, "branches": [{"name": "main"}]}
        else:
            event = "check_run"
            suite = {"head_branch": "main"}
            facts["check_run"] = {"conclusion": state or None, "check_suite": suite}
        self.emit(partial(self.receive, delivery_of(facts, event=event)))

    def deploy(self, name: str, *, clock_is_off: int = 0) -> None:
        """`pulley deploy` of the tip, which skips the gates."""
        listed = self.history.commands_since(START)
        now = time_of(self.now + clock_is_off)
        issued = issue_time(SITE, listed, now=now)
        cause = Cause(SITE, CommitSha(self.upstream.tip), "manual", issued)
        with self.acting("person"), suppress(PulleyError):
            self.people.deploy([self.targets[name]], cause)

    def is_pinned(self, name: str) -> bool:  # type: ignore[override] # of one target
        return self.pins[name].holds(time_of(self.now))

    def set_pin(self, name: str, pin: Pin) -> None:
        self.pins[name] = pin
        stored = {"state": pin.state, "commit": pin.commit.sha if pin.commit else None}
        stored["until"] = pin.until.isoformat() if pin.until else None
        self.parameters.values[NAMES.pin(name)] = json.dumps(stored)

    def pin_back(self, name: str, back: int, until: int | None = None) -> None:
        """Pin to a commit of the branch."""
        line = self.upstream.line_of(self.upstream.tip)
        end = None if until is None else time_of(self.now + until)
        commit = CommitSha(line[min(back, len(line) - 1)])
        self.set_pin(name, Pin("pinned", commit, until=end))

    def join(self, name: str) -> None:
        host = Host(f"i-{len(self.machines) + 1:017x}")
        self.hosts[name].append(host)
        self.machines.append(host)

    # --- The end ----------------------------------------------------------------------------------

    def end_faults(self) -> None:
        """Everything works again, and what is under way ends. Then all events get lost: the rounds
        find out everything by asking.
        """
        for one in self.machines:
            one.is_awake, one.is_alive, one.failure, one.lies = True, True, "", ""
            one.clock_is_off = 0
        self.losses, self.refuses = 0, False
        self.site.is_away, self.site.fails_in = False, 0
        self.upstream.bad.clear()
        self.wait(3600)
        self.is_silent = True

    def rest(self, rounds: int) -> None:
        for _ in range(rounds):
            self.round()
            self.wait(INTERVAL)

    def wait_for_edge(self, number: int) -> None:
        """Let time pass until shortly before or after a window opens or closes, or a bit longer."""
        windows = [one for node in self.nodes.values() for one in node.windows]
        if not windows:
            return
        text, later = windows[number % len(windows)], self.now - self.now % INTERVAL + INTERVAL
        before = is_window_open(text, time_of(later - 1))
        while is_window_open(text, time_of(later)) == before:
            later += INTERVAL
        self.wait(max(later - self.now + (-20, 20, 3 * 3600)[number % 3], 0))

    def wait_for_window(self, name: str) -> None:
        """Let time pass until a window of the target opens, if it has windows and none is open."""
        windows = self.nodes[name].windows if name else ()
        later = self.now
        while windows and not any(is_window_open(one, time_of(later)) for one in windows):
            later += INTERVAL
        if later > self.now:
            # After so long a time without rounds, some work would be too late. Each target of a
            # chain may get a commit in a round of its own, and the next one reports a lost result.
            self.rest(len(self.nodes) + 1)
            self.wait(later - self.now)
