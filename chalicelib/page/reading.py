"""Reads a stage for the page: side by side, because each call waits for AWS, and kept for a while.

A command whose hosts have all ended does not change any more, so its results are read once.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from chalicelib.core.decisions import Decision
from chalicelib.core.history import REMEMBERED, Check, Command, Invocation, Run, age
from chalicelib.core.holds import RoundState
from chalicelib.core.hosts import Host
from chalicelib.core.stored import StoredPins, every_target
from chalicelib.core.targets import Target
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github import github_at
from chalicelib.edges.github_api import GitHubApi
from chalicelib.edges.github_reading import read_until
from chalicelib.flows.snapshot import MAX_COMMANDS, Reader, Snapshot
from chalicelib.page.badge import badge_of, unknown_badge
from chalicelib.status.as_json import plain
from chalicelib.status.checks import ChecksReader
from chalicelib.status.deploys import deploy_facts, deploys_of
from chalicelib.status.gates import GatesView
from chalicelib.status.outputs import Outputs
from chalicelib.status.overview import Standings, look_at, view_of
from chalicelib.status.state import Surroundings, state_of
from chalicelib.status.subjects import Subjects

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.core.decisions import DecisionLog
    from chalicelib.edges.command_history import CommandHistory
    from chalicelib.edges.command_output import CommandOutput
    from chalicelib.edges.hosts import HostDirectory
    from chalicelib.edges.round_parameters import RoundParameters

SIDE_BY_SIDE = 10  # calls at once: boto3 keeps as many connections
LIKELY = 2  # commands of a target that are read before it is known that they are needed
MOST_REMEMBERED = 500  # commands
MOST_DEPLOYS = 60  # of a target, in its past
GITHUB_SECONDS = 6.0  # in which a view's requests to GitHub begin and end


@dataclass(frozen=True)
class Source:
    """Where a page's facts come from.

    `github_api` is the address of GitHub's API. `own_token` is used for repositories without a
    token.
    """

    surroundings: Surroundings
    stored: "RoundParameters"
    directory: "HostDirectory"
    history: "CommandHistory"
    outputs: "CommandOutput"
    github_api: str
    journal: "DecisionLog"
    own_token: str = field(default="", repr=False)


class StageReading:
    """Reads one stage. Every method raises RefusedError and UnavailableError."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._results = _Results(source.history)
        # One for all requests of a view, so that a GitHub that hangs delays it only once.
        self._github_deadline = Deadline(who="GitHub")
        self._github = partial(read_until, github_at(source.github_api), self._github_deadline)
        self._checks = ChecksReader(GitHubApi(source.github_api), self._github_deadline)
        self._subjects = Subjects(self._github)
        self._outputs = Outputs(source.outputs)

    def state(self, *, now: datetime) -> Mapping[str, object]:
        """The stage's state, as plain JSON. `now` is aware."""
        self._github_deadline.restart(GITHUB_SECONDS)
        surroundings = self._source.surroundings
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            seen = self._look(pool, now, lambda _: True, self._checks)
            document = state_of(seen, surroundings, self._subjects, self._outputs)
        if not surroundings.in_full:
            for name, error in seen.failed:
                facts = {"target": name, "reason": error.in_full}
                self._source.journal.note(Decision("page", "failed", facts, "error"))
        found = plain(document)
        assert isinstance(found, dict)  # noqa: S101 - for mypy
        return found

    def past(self, target: str, *, now: datetime) -> Mapping[str, object] | None:
        """The deploys of a target in 30 days, newest first, as plain JSON; None if unknown.

        A name that two targets have is unknown, too.
        """
        self._github_deadline.restart(GITHUB_SECONDS)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            commands = pool.submit(self._results.commands_since, now - REMEMBERED, MAX_COMMANDS)
            settings = self._source.stored.every_repository()
            found = [one for one in every_target(settings)[0] if one.name == target]
            if len(found) != 1:
                return None
            (one,) = found
            sent = [
                command
                for command in _sent_to(one, commands.result())
                if not command.roll_out.is_recheck
            ][:MOST_DEPLOYS]
            runs = dict(zip(sent, pool.map(self._run, sent), strict=True))
        deploys = deploys_of(sent, runs.__getitem__, limit=MOST_DEPLOYS, now=now)
        token = settings[one.repository].token or self._source.own_token
        newest = [deploy.roll_out.commit for deploy in deploys[:1]]
        others = [deploy.roll_out.commit.sha for deploy in deploys]
        subjects = self._subjects.of(one.repository, newest, token, others=others)
        entries = [deploy_facts(one, subjects.get(one.roll_out.commit.sha, "")) for one in deploys]
        stage = self._source.surroundings.stage
        return {"version": 1, "stage": stage, "entries": plain(entries)}

    def badges(self, *, now: datetime) -> Mapping[str, str]:
        """The badges of the targets that have one, by the target's name. `now` is aware.

        A name that two targets have has none.
        """
        self._github_deadline.restart(GITHUB_SECONDS)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            seen = self._look(pool, now, lambda one: one.badge, None)
        made = [(one.target.name, badge_of(one)) for one in seen.standings]
        made += [(name, unknown_badge(name)) for name, _ in seen.failed]
        count = Counter(name for name, _ in made)
        return {name: badge for name, badge in made if count[name] == 1}

    def _look(
        self,
        pool: ThreadPoolExecutor,
        now: datetime,
        is_shown: "Callable[[Target], bool]",
        checks: ChecksReader | None,
    ) -> Standings:
        source = self._source
        ahead = _Ahead(pool, source, self._results, now)
        settings = source.stored.every_repository()
        every, problems = every_target(settings)
        targets = [one for one in every if is_shown(one)]
        ahead.read_for(targets, every)
        tokens = {name: one.token or source.own_token for name, one in settings.items()}
        reader = Reader(
            stage=source.surroundings.stage,
            stored=ahead,
            directory=ahead,
            history=ahead,
            github=self._github,
            journal=source.journal,
        )
        gates = GatesView(reader, self._github, checks, every)
        view = view_of(gates, targets, tokens, find_here=lambda: None, now=now)
        lines = {(one.repository, one.line): one for one in targets}.values()
        wait([pool.submit(_ask_github, view.snapshot, one) for one in lines])
        return look_at(view, targets, problems)

    def _run(self, command: Command) -> Run:
        return Run(command, self._results.invocations(command.id))


class _Ahead:
    """What a view needs, or is likely to need: it is on its way before anybody asks."""

    def __init__(
        self, pool: ThreadPoolExecutor, source: Source, results: "_Results", now: datetime
    ) -> None:
        self._pool, self._stored, self._results = pool, source.stored, results
        self._directory = source.directory
        self._nodes = pool.submit(source.directory.nodes)
        self._instances = pool.submit(source.directory.instances)
        self._commands = pool.submit(results.commands_since, now - REMEMBERED, MAX_COMMANDS)
        self._state = pool.submit(source.stored.state)
        self._pins: Future[StoredPins] | None = None
        self._invocations: dict[str, Future[tuple[Invocation, ...]]] = {}

    def read_for(self, targets: Sequence[Target], every: Sequence[Target]) -> None:
        """Read what these targets are likely to need. Pins are read of every target."""
        self._pins = self._pool.submit(self._stored.pins, [one.name for one in every])
        commands = self._commands.result()
        for target in targets:
            for one in _likely(_sent_to(target, commands)):
                self._invocations[one.id] = self._pool.submit(self._results.invocations, one.id)

    def command(self, command_id: str) -> Command | Check | None:
        return self._results.command(command_id)

    def commands_since(
        self, since: datetime, limit: int = MAX_COMMANDS
    ) -> Sequence[Command | Check]:
        del since, limit
        return self._commands.result()

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        known = self._invocations.get(command_id)
        return known.result() if known else self._results.invocations(command_id)

    def hosts(self) -> Sequence[Host]:
        return self._directory.joined(self._nodes.result(), self._instances.result())

    def state(self) -> RoundState:
        return self._state.result()

    def pins(self, targets: Sequence[str]) -> StoredPins:
        return self._pins.result() if self._pins else self._stored.pins(targets)


class _Results:
    """Run Command's history, with the results that will not change any more."""

    def __init__(self, history: "CommandHistory") -> None:
        self._history = history
        self._listed: Mapping[str, Command | Check] = {}
        self._known: OrderedDict[str, tuple[Invocation, ...]] = OrderedDict()

    def command(self, command_id: str) -> Command | Check | None:
        return self._history.command(command_id)

    def commands_since(self, since: datetime, limit: int) -> Sequence[Command | Check]:
        found = self._history.commands_since(since, limit)
        self._listed = {one.id: one for one in found}
        return found

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        known = self._known.get(command_id)
        if known is not None:
            return known
        found = self._history.invocations(command_id)
        command = self._listed.get(command_id)
        if isinstance(command, Command) and Run(command, found).is_settled:
            self._known[command_id] = found
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return found


def _likely(sent: Sequence[Command]) -> Iterable[Command]:
    newest = [one for one in sent if not one.roll_out.is_recheck][:1]
    return {one.id: one for one in [*sent[:LIKELY], *newest]}.values()


def _ask_github(snapshot: Snapshot, target: Target) -> None:
    branches = snapshot.branches
    if target.gates and target.branch:
        branches.commits_of(target)
    elif target.tag:
        branches.tags_of(target)
    else:
        branches.head_of(target)


def _sent_to(target: Target, commands: Iterable[Command | Check]) -> list[Command]:
    """The commands to a target, newest first."""
    found = [
        one
        for one in commands
        if isinstance(one, Command)
        and (one.roll_out.repository, one.roll_out.target) == (target.repository, target.name)
    ]
    return sorted(found, key=age, reverse=True)
