"""A round sends the wanted commit to each host that is not at it, and nothing to other hosts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chalicelib.core.commands import SendRequest
from chalicelib.core.errors import NotTakenError, PulleyError, RefusedError, UnavailableError
from chalicelib.core.history import Command, Invocation, parse_roll_out
from chalicelib.core.holds import Hold, RoundState
from chalicelib.core.hosts import Host
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.tags import TaggedCommit, TagGlob
from chalicelib.core.wake import Woken
from chalicelib.core.webhook import FailedDelivery
from chalicelib.flows.catch_up import CatchUp
from chalicelib.flows.deploy import Deployer
from chalicelib.flows.gates import GateReader
from chalicelib.flows.launches import LaunchCompleter
from chalicelib.flows.notify import Memory, Notifier
from chalicelib.flows.reconcile import RESERVE_SECONDS, Reconciler
from chalicelib.flows.release import Releaser
from chalicelib.flows.round import PlanSender, Round
from chalicelib.flows.snapshot import Reader
from chalicelib.flows.sync import DeploymentSync
from tests.fakes import (
    COMMIT,
    NAMES,
    SITE,
    STAGE,
    TOKEN,
    FakeAnnouncements,
    FakeCommands,
    FakeDeployments,
    FakeGroups,
    FakeHistory,
    FakeJournal,
    FakeParameters,
    FakeTopic,
    target_json,
    targets_text,
)
from tests.flows.runs import OLD, START, command_of, id_of, line_of, on, rolled_back, running

OTHER = Repository("octo", "other")
TIP = "b" * 40
INTERVAL = timedelta(minutes=15)
ENDLESS = float("inf")


class Commands(FakeCommands):
    """Run Command whose history has each sent command as AWS lists it: parameters and comment."""

    def __init__(
        self, history: FakeHistory, directory: "FakeDirectory", clock: Callable[[], datetime]
    ) -> None:
        super().__init__()
        self.history, self.directory = history, directory
        self.clock = clock

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        answers = super().send(requests)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, str):
                now, ids = self.clock(), self._hosts_of(request)
                roll_out = parse_roll_out(request.parameters, request.comment, requested=now)
                assert roll_out
                command = Command(
                    id=answer,
                    status="InProgress",
                    details="InProgress",
                    requested=now,
                    expires=now + timedelta(minutes=20),
                    target_count=len(ids),
                    roll_out=roll_out,
                )
                pending = [Invocation(one, f"web-{one[-3:]}", "Pending", "Pending") for one in ids]
                self.history.add(command, *pending)
        return answers

    def _hosts_of(self, request: SendRequest) -> Sequence[str]:
        """The ids that the request names, or those of the hosts with its tags."""
        selectors = dict(request.selectors)
        if "InstanceIds" in selectors:
            return selectors["InstanceIds"]
        wanted = {key.removeprefix("tag:"): values for key, values in selectors.items()}
        return [
            one.instance_id
            for one in self.directory.known
            if all(one.tags.get(key) in values for key, values in wanted.items())
        ]


class History(FakeHistory):
    """A history that raises for the invocations of the commands in `refused`."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, PulleyError] = {}

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        if command_id in self.refused:
            raise self.refused[command_id]
        return super().invocations(command_id)


class Parameters(FakeParameters):
    """Parameters that raise `store_error`, if it is set, when a round stores its state."""

    store_error: PulleyError | None = None

    def store_state(self, state: RoundState) -> None:
        if self.store_error:
            raise self.store_error
        super().store_state(state)


class FakeDirectory:
    """EC2's and Systems Manager's hosts."""

    def __init__(self) -> None:
        self.known: list[Host] = []
        self.calls = 0

    def hosts(self) -> Sequence[Host]:
        self.calls += 1
        return list(self.known)


class FakeReading:
    """GitHub's branches and failed deliveries, for requests with the token.

    `errors` has the error that each method raises; `before` is called first, with the method.
    """

    def __init__(self) -> None:
        self.heads: dict[tuple[Repository, str], CommitSha] = {}
        self.branches: dict[tuple[Repository, str], Sequence[CommitSha]] = {}
        self.tags: dict[tuple[Repository, str], Sequence[TaggedCommit]] = {}
        self.lost: list[FailedDelivery] = []
        self.errors: dict[str, PulleyError] = {}
        self.before: Callable[[str], object] = lambda _method: None
        self.calls: list[tuple[str, str]] = []
        self.since: list[datetime] = []

    def of(self, repository: Repository, token: str) -> "Reading":
        assert token == TOKEN
        return Reading(self, repository)


class Reading:
    def __init__(self, fake: FakeReading, repository: Repository) -> None:
        self.fake, self.repository = fake, repository

    def head(self, branch: Branch) -> CommitSha | None:
        self.call("head", branch.name)
        return self.fake.heads.get((self.repository, branch.name))

    def commits(self, branch: Branch) -> Sequence[CommitSha]:
        self.call("commits", branch.name)
        return self.fake.branches.get((self.repository, branch.name), [])

    def tags(self, glob: TagGlob, *, releases: bool) -> Sequence[TaggedCommit]:
        self.call("tags", f"{glob}, releases: {releases}")
        return self.fake.tags.get((self.repository, glob.pattern), [])

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        self.call("failed_deliveries", str(self.repository))
        self.fake.since.append(since)
        return self.fake.lost

    def call(self, method: str, about: str) -> None:
        self.fake.before(method)
        self.fake.calls.append((method, about))
        if method in self.fake.errors:
            raise self.fake.errors[method]


class House:
    """One stage with all that a round reads. The time is 20 minutes past the hour."""

    def __init__(self) -> None:
        self.now = START + timedelta(hours=6, minutes=20)
        self.parameters = Parameters(
            {NAMES.targets(SITE): targets_text(target_json(recheck="20d"))}
        )
        self.directory = FakeDirectory()
        self.history = History()
        self.reading = FakeReading()
        self.deployments = FakeDeployments()
        self.journal, self.topic = FakeJournal(), FakeTopic()
        self.groups = FakeGroups()
        self.commands = Commands(self.history, self.directory, lambda: self.now)
        self.interval = INTERVAL
        self.pauses: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None  # what happens while a round pauses

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.meanwhile()

    def log_url(self, command_id: str) -> str:
        return f"https://console/{command_id}"

    @property
    def reconciler(self) -> Reconciler:
        reader = Reader(
            stage=STAGE,
            stored=self.parameters,
            directory=self.directory,
            history=self.history,
            github=self.reading.of,
            journal=self.journal,
        )
        deployer = Deployer(
            stage=STAGE,
            pins=self.parameters,
            commands=self.commands,
            announcements=FakeAnnouncements(self.deployments),
            journal=self.journal,
        )
        return Reconciler(
            stored=self.parameters,
            reader=reader,
            releaser=Releaser(
                stage=STAGE,
                gates=GateReader(reader, pause=self.pause),
                github=lambda _repository, _token: self.deployments,
                deployer=deployer,
                journal=self.journal,
                clock=lambda: self.now,
            ),
            catch_up=CatchUp(
                reader,
                DeploymentSync(
                    stage=STAGE,
                    parameters=self.parameters,
                    history=self.history,
                    github=lambda _repository, _token: self.deployments,
                    notifier=Notifier(STAGE, self.topic, self.journal, self.log_url),
                    journal=self.journal,
                    memory=Memory(),
                ),
                self.interval,
            ),
            sender=PlanSender(
                stage=STAGE,
                pins=self.parameters,
                reader=reader,
                commands=self.commands,
                journal=self.journal,
                clock=lambda: self.now,
            ),
            launches=LaunchCompleter(STAGE, self.groups, self.topic, self.journal),
            journal=self.journal,
            interval=self.interval,
            clock=lambda: self.now,
        )

    def round(
        self,
        seconds_left: Callable[[], float] = lambda: ENDLESS,
        only: Woken | None = None,
    ) -> Round:
        return self.reconciler.reconcile(seconds_left=seconds_left, only=only)

    def rest(self, minutes: float = 15) -> None:
        self.now += timedelta(minutes=minutes)

    def store(self, name: str, value: str) -> None:
        self.parameters.values[name] = value

    def store_targets(
        self, *names: str, repository: Repository = SITE, checkout: str = "/srv/site"
    ) -> None:
        """Targets on hosts whose tag `role` is the target's name, which may be in the checkout."""
        targets = [
            target_json(
                name,
                repository=str(repository),
                instances={"tags": {"role": name}},
                checkout=checkout.format(name),
                recheck="20d",
            )
            for name in names
        ]
        self.store(NAMES.targets(repository), json.dumps(targets))

    def take_token(self) -> None:
        self.store(NAMES.github_token, TOKEN)

    def add_hosts(self, *numbers: int, role: str = "web", is_online: bool = True) -> None:
        for number in numbers:
            tags = {"pulley": STAGE, "role": role}
            self.directory.known.append(
                Host(f"i-{number:017x}", f"web-{number}", tags, is_online=is_online)
            )

    def push(self, command: Command, *invocations: Invocation) -> None:
        self.history.add(replace(command, target_count=len(invocations)), *invocations)

    def end(self, output: str, status: str = "Failed") -> None:
        """End the newest command with this output on each of its hosts."""
        id_, command = list(self.history.commands.items())[-1]
        hosts = [
            replace(one, status=status, details=status, output=output, ended=self.now)
            for one in self.history.hosts[id_]
        ]
        self.history.add(replace(command, status=status, details=status), *hosts)

    def sent_to(self) -> list[tuple[str, ...]]:
        """The hosts of each command."""
        return [dict(one.selectors)["InstanceIds"] for one in self.commands.sent]

    def sent_targets(self) -> list[str]:
        return [one.target for one in self.commands.sent]

    def notes(self, about: str, outcome: str) -> list[dict[str, object]]:
        return [dict(one.facts) for one in self.journal.of(about, outcome)]


@pytest.fixture
def house() -> House:
    return House()


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(f"i-{number:017x}" for number in numbers)


class TestRecheck:
    """Hosts whose newest observation is older than the target's `recheck`, here "1h"."""

    @pytest.fixture
    def house(self) -> House:
        house = House()
        target = target_json(recheck="1h")
        house.store(NAMES.targets(SITE), json.dumps([target]))
        house.add_hosts(1, 2)
        house.push(command_of(COMMIT, 1), on(1, line_of()), on(2, line_of()))
        return house

    def test_both_hosts_get_an_ordinary_run_in_one_command(self, house: House) -> None:
        assert house.round() == Round(targets=1, hosts=2, behind=0, sent=1)
        (request,) = house.commands.sent
        assert request.selectors == (("InstanceIds", ids(1, 2)),)
        assert request.comment == "reconcile: octo/site 4d5e6f7 to web"
        assert request.parameters["Attempt"] == ""
        (note,) = house.notes("command", "sent")
        assert note["hosts"] == dict.fromkeys(
            ("web-1", "web-2"), "last seen at 2030-01-01 08:01 UTC"
        )

    def test_unchanged_hosts_get_no_command_until_the_next_recheck(self, house: House) -> None:
        house.take_token()
        house.reading.heads[SITE, "main"] = CommitSha(COMMIT)
        house.round()
        (command,) = [one for one in house.history.commands if one.startswith("command")]
        sent = house.history.commands[command]
        assert isinstance(sent, Command)
        house.push(
            replace(sent, status="Success", details="Success"),
            *(on(one, line_of(outcome="unchanged"), ended=house.now) for one in (1, 2)),
        )
        for _ in range(2):
            house.rest()
            assert house.round().sent == 0
        # A recheck that found no drift posts nothing to GitHub.
        assert house.deployments.calls == []

    def test_stored_hold_still_counts_when_systems_manager_has_forgotten(
        self, house: House
    ) -> None:
        stopped = command_of(OLD, 2, status="Cancelled")
        house.push(stopped, on(1, details="Cancelled"), on(2, details="Cancelled"))
        assert house.round().sent == 0
        hold = house.parameters.state().holds["web"]
        assert (hold.commit.sha, hold.good and hold.good.sha) == (OLD, COMMIT)
        house.history.commands.clear()
        house.rest(31 * 24 * 60)
        house.take_token()
        house.reading.heads[SITE, "main"] = CommitSha(OLD)
        house.add_hosts(3)
        house.round()
        assert {one.parameters["Commit"] for one in house.commands.sent} == {COMMIT}

    def test_hold_of_a_repository_with_unreadable_targets_is_kept(self, house: House) -> None:
        hold = Hold(CommitSha(OLD), "cancelled", 5)
        house.parameters.store_state(RoundState("", {"other": hold}))
        house.store(NAMES.targets(Repository("octo", "other")), "{")
        house.round()
        assert house.parameters.state().holds == {"other": hold}

    @pytest.mark.parametrize("has_pruned_repository", [False, True])
    def test_hold_of_a_deleted_target_is_forgotten(
        self, house: House, *, has_pruned_repository: bool
    ) -> None:
        if has_pruned_repository:
            house.store(NAMES.targets(Repository("octo", "other")), "[]")
        hold = Hold(CommitSha(OLD), "cancelled", 5)
        house.parameters.store_state(RoundState("", {"gone": hold}))
        house.round()
        assert house.parameters.state() == RoundState()


class TestRoundSends:
    def test_only_the_host_behind_gets_a_command(self, house: House) -> None:
        house.add_hosts(1, 2, 3)
        house.push(command_of(OLD, 1), *[on(number, line_of(OLD)) for number in (1, 2, 3)])
        house.push(command_of(COMMIT, 2), on(1, line_of()), on(3, line_of()))
        assert house.round() == Round(targets=1, hosts=3, behind=1, sent=1)
        (request,) = house.commands.sent
        assert request.selectors == (("InstanceIds", ids(2)),)
        assert request.comment == "reconcile, attempt 1: octo/site 4d5e6f7 to web"
        sent = {name: request.parameters[name] for name in ("Commit", "Cause", "Update", "Issued")}
        assert sent == {
            "Commit": COMMIT,
            "Cause": "reconcile",
            "Update": "rebase",
            "Issued": str(int(house.now.timestamp() * 1000)),
        }
        assert house.notes("command", "sent") == [
            {
                "repository": "octo/site",
                "target": "web",
                "cause": "reconcile",
                "commit": COMMIT,
                "update": "rebase",
                "attempt": 1,
                "command_id": "command-1",
                "hosts": {"web-2": "it is at aaaaaaa"},
            }
        ]

    def test_target_at_its_commit_gets_no_command_and_costs_few_reads(self, house: House) -> None:
        house.add_hosts(1, 2)
        house.push(command_of(OLD, 1), on(1, line_of(OLD)), on(2, line_of(OLD)))
        house.push(command_of(COMMIT, 2), on(1, line_of()), on(2, line_of()))
        for _ in range(3):
            assert house.round() == Round(targets=1, hosts=2)
            house.rest()
        assert house.commands.sent == []
        assert house.history.calls == ["commands_since", "invocations"] * 3
        assert house.parameters.looked_up == ["repositories", "pins", "state"] * 3
        assert house.directory.calls == 3
        assert house.reading.calls == []

    def test_more_than_fifty_hosts_get_several_commands(self, house: House) -> None:
        house.add_hosts(*range(1, 122))
        house.push(command_of(COMMIT, 1), on(121, line_of()))
        done = house.round()
        assert (done.behind, done.sent) == (120, 3)
        assert [len(hosts) for hosts in house.sent_to()] == [50, 50, 20]
        assert len({one for hosts in house.sent_to() for one in hosts}) == 120
        assert house.history.calls == ["commands_since", "invocations", "commands_since"]

    def test_commit_on_no_host_yet_goes_to_fifty_hosts_first(self, house: House) -> None:
        house.take_token()
        house.reading.heads[SITE, "main"] = CommitSha(TIP)
        house.add_hosts(*range(1, 121))
        house.round()
        assert [len(hosts) for hosts in house.sent_to()] == [50]
        house.rest()
        house.end(line_of(TIP), "Success")
        house.round()
        assert [len(hosts) for hosts in house.sent_to()] == [50, 50, 20]

    def test_new_host_of_a_branch_without_pushes_gets_the_tip(self, house: House) -> None:
        house.take_token()
        house.reading.heads[SITE, "main"] = CommitSha(TIP)
        house.add_hosts(1)
        house.round()
        assert [one.parameters["Commit"] for one in house.commands.sent] == [TIP]

    def test_pinned_target_gets_its_commit_with_update_exact(self, house: House) -> None:
        house.add_hosts(1)
        house.push(command_of(COMMIT, 1), on(1, line_of()))
        house.store(NAMES.pin("web"), json.dumps({"state": "pinned", "commit": OLD}))
        house.round()
        (request,) = house.commands.sent
        assert (request.parameters["Commit"], request.parameters["Update"]) == (OLD, "exact")

    def test_frozen_target_and_offline_host_get_no_command(self, house: House) -> None:
        house.store_targets("api", "web")
        house.store(NAMES.pin("api"), json.dumps({"state": "frozen"}))
        house.add_hosts(1, role="api")
        house.add_hosts(2, is_online=False)
        for number, name in enumerate(("api", "web"), 1):
            house.push(command_of(OLD, number, target=name), on(3, line_of(OLD, target=name)))
        assert house.round() == Round(targets=2, hosts=2)
        assert house.commands.sent == []

    def test_pinned_document_version_goes_with_the_command(self, house: House) -> None:
        house.store(NAMES.document, json.dumps({"version": "7", "hash": "c" * 64}))
        house.add_hosts(1)
        house.push(command_of(COMMIT, 1), on(2, line_of()))
        house.round()
        (request,) = house.commands.sent
        assert request.document_pin
        assert request.document_pin.version == "7"

    def test_stopped_roll_out_goes_to_no_further_host(self, house: House) -> None:
        house.add_hosts(1, 2)
        stopped = command_of(COMMIT, 1, status="Failed")
        house.push(stopped, on(1, rolled_back(COMMIT), "Failed"), on(2, details="Terminated"))
        house.round()
        assert house.commands.sent == []

    def test_host_with_the_tag_of_another_stage_is_ignored(self, house: House) -> None:
        house.directory.known = [Host("i-1", "web", {"pulley": "prod", "role": "web"})]
        house.push(command_of(COMMIT, 1), on(2, line_of()))
        assert house.round() == Round(targets=1)


class TestAttempts:
    def fail_for_ever(self, house: House, rounds: int) -> list[float]:
        """The hours after the push at which commands were sent; each command fails at once."""
        pushed, hours = house.now, []
        house.add_hosts(1)
        command = replace(command_of(COMMIT, 1, status="Failed"), requested=house.now)
        house.push(command, on(1, rolled_back(COMMIT), "Failed", ended=house.now))
        for _ in range(rounds):
            house.rest()
            if house.round().sent:
                hours.append((house.now - pushed).total_seconds() / 3600)
                house.end(rolled_back(COMMIT))
        return hours

    def test_failing_host_gets_five_attempts_with_growing_pauses(self, house: House) -> None:
        assert self.fail_for_ever(house, 100) == [0.25, 0.75, 1.75, 3.75, 7.75]
        comments = [one.comment.partition(":")[0] for one in house.commands.sent]
        assert comments == [f"reconcile, attempt {number}" for number in range(1, 6)]

    @pytest.mark.parametrize("late", [-1, 0, 0.9])
    def test_parked_host_is_noted_once_as_an_error(self, house: House, late: float) -> None:
        self.fail_for_ever(house, 31)
        assert house.commands.sent[-1].comment.startswith("reconcile, attempt 5: ")
        house.rest(15 + late)
        for _ in range(10):
            house.round()
            house.rest()
        (facts,) = house.notes("host", "parked")
        assert facts["host"] == "web-1"
        assert str(facts["reason"]).startswith("5 attempts failed: rolled back")
        (decision,) = house.journal.of("host", "parked")
        assert decision.level == "error"
        assert house.round() == Round(targets=1, hosts=1, parked=1)
        assert len(house.commands.sent) == 5

    def test_host_that_caught_up_gets_no_further_command(self, house: House) -> None:
        house.add_hosts(1)
        house.push(command_of(COMMIT, 1), on(1, details="DeliveryTimedOut"))
        house.round()
        house.end(line_of(), "Success")
        for _ in range(3):
            house.rest()
            assert house.round().sent == 0
        assert len(house.commands.sent) == 1


class TestChangesDuringARound:
    @pytest.fixture(autouse=True)
    def _behind(self, house: House) -> None:
        house.add_hosts(1)
        house.push(command_of(OLD, 1), on(1, line_of(OLD)))
        house.take_token()
        house.reading.heads[SITE, "main"] = CommitSha(TIP)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (None, {"state": "frozen"}),
            (None, {"state": "none"}),
            ({"state": "pinned", "commit": COMMIT}, {"state": "pinned", "commit": TIP}),
            ({"state": "pinned", "commit": COMMIT}, None),
        ],
    )
    def test_changed_pin_sends_nothing(self, house: House, before: object, after: object) -> None:
        pin = NAMES.pin("web")
        if before:
            house.store(pin, json.dumps(before))

        def change(_method: str) -> None:
            house.parameters.values.pop(pin, None)
            if after:
                house.store(pin, json.dumps(after))

        house.reading.before = change
        assert house.round() == Round(targets=1, hosts=1, behind=1)
        assert house.commands.sent == []

    def test_stopped_push_goes_to_no_further_host(self, house: House) -> None:
        stopped = replace(command_of(TIP, 9, status="Failed"), requested=house.now)

        def push(method: str) -> None:
            if method == "head":
                house.push(stopped, on(2, rolled_back(TIP), "Failed"), on(1, details="Terminated"))

        house.reading.before = push
        for _ in range(3):
            assert house.round().sent == 0
            house.rest()

    def test_push_to_another_target_does_not_stop_the_command(self, house: House) -> None:
        other = replace(command_of(TIP, 9, target="api"), requested=house.now)
        house.reading.before = lambda _method: house.push(other, running(5))
        assert house.round().sent == 1

    def test_two_rounds_at_once_send_one_command(self, house: House) -> None:
        def second_round(_method: str) -> None:
            house.reading.before = lambda _method: None
            assert house.round().sent == 1

        house.reading.before = second_round
        assert house.round().sent == 0
        assert house.sent_to() == [ids(1)]

    def test_command_is_issued_at_the_beginning_of_the_round(self, house: House) -> None:
        began = house.now
        house.reading.before = lambda _method: house.rest(5)
        house.round()
        (request,) = house.commands.sent
        assert request.parameters["Issued"] == str(int(began.timestamp() * 1000))


class TestRoundWithFailures:
    @pytest.fixture(autouse=True)
    def _three_behind(self, house: House) -> None:
        house.store_targets("api", "job", "web", checkout="/srv/{}")
        for number, name in enumerate(("api", "job", "web"), 1):
            house.add_hosts(number, role=name)
            command = command_of(COMMIT, number, target=name, checkout=f"/srv/{name}")
            house.push(command, on(number, details="DeliveryTimedOut"))

    def test_without_failures_all_targets_get_a_command(self, house: House) -> None:
        assert house.round() == Round(targets=3, hosts=3, behind=3, sent=3)
        assert house.sent_targets() == ["api", "job", "web"]

    def test_unreadable_pin_stops_only_its_target(self, house: House) -> None:
        house.store(NAMES.pin("job"), "{")
        assert house.round() == Round(targets=3, hosts=2, behind=2, sent=2, failed=1)
        assert house.sent_targets() == ["api", "web"]
        ((facts),) = house.notes("round", "failed")
        assert facts["target"] == "job"
        assert "pins/job" in str(facts["reason"])

    def test_invalid_targets_of_a_repository_do_not_stop_other_repositories(
        self, house: House
    ) -> None:
        house.store(NAMES.targets(OTHER), "[{}]")
        assert house.round().sent == 3
        (facts,) = house.notes("round", "failed")
        assert facts["repository"] == "octo/other"
        assert str(facts["reason"]).startswith("its targets: ")

    def test_blank_targets_parameter_means_no_targets(self, house: House) -> None:
        house.store(NAMES.targets(SITE), "")
        assert house.round() == Round()

    def test_command_refused_by_aws_is_noted_as_failed(self, house: House) -> None:
        house.commands.refused["job"] = RefusedError("AWS refused", detail="(InvalidDocument)")
        assert house.round() == Round(targets=3, hosts=3, behind=3, sent=2, failed=1)
        (facts,) = house.notes("command", "failed")
        assert (facts["target"], facts["commit"]) == ("job", COMMIT)
        assert facts["reason"] == "AWS refused: (InvalidDocument)"

    def test_unreadable_history_of_a_target_is_noted_and_stops_only_it(self, house: House) -> None:
        house.history.refused[id_of(2)] = UnavailableError("AWS is too busy")
        assert house.round() == Round(targets=3, hosts=2, behind=2, sent=2, failed=1)
        (facts,) = house.notes("round", "failed")
        assert (facts["target"], facts["reason"]) == ("job", "AWS is too busy")

    def test_unreadable_document_pin_fails_every_target(self, house: House) -> None:
        house.store(NAMES.document, "{}")
        done = house.round()
        assert (done.sent, done.failed, done.is_whole) == (0, 3, True)

    def test_round_that_cannot_begin_notes_the_reason(self, house: House) -> None:
        house.parameters.error = RefusedError("AWS refused", detail="AccessDenied on arn")
        with pytest.raises(RefusedError):
            house.round()
        assert house.notes("round", "failed") == [{"reason": "AWS refused: AccessDenied on arn"}]
        assert house.journal.of("round", "whole") == []

    def test_whole_round_is_noted_with_its_counts_and_metrics(self, house: House) -> None:
        house.commands.refused["job"] = UnavailableError("not now")
        house.round()
        (decision,) = house.journal.of("round", "whole")
        assert decision.facts == vars(
            Round(targets=3, hosts=3, behind=3, sent=2, failed=1, is_whole=True)
        )
        assert {name: value for name, (value, _) in decision.metrics.items()} == {
            "Rounds": 1,
            "HostsBehind": 3,
            "HostsParked": 0,
        }


class TestRoundCutShort:
    NAMES = ("api", "job", "mail", "search", "web")

    @pytest.fixture(autouse=True)
    def _behind(self, house: House) -> None:
        house.store_targets(*self.NAMES)
        for number, name in enumerate(self.NAMES, 1):
            house.add_hosts(number, role=name)
            house.push(command_of(COMMIT, number, target=name), on(99, line_of(target=name)))

    def time_for(self, targets: int) -> Callable[[], float]:
        left = iter([RESERVE_SECONDS] * targets)
        return lambda: next(left, RESERVE_SECONDS - 0.001)

    def test_next_round_begins_after_the_last_target_and_a_whole_round_resets(
        self, house: House
    ) -> None:
        done = house.round(self.time_for(2))
        assert done == Round(targets=2, hosts=2, behind=2, sent=2, is_whole=False)
        assert house.parameters.state().after == "job"
        assert house.journal.lines[-1] == ("round", "cut_short")
        done = house.round(self.time_for(4))
        assert (done.targets, done.is_whole) == (4, False)
        assert house.parameters.state().after == "api"
        assert house.sent_targets() == list(self.NAMES)
        assert house.round().is_whole
        assert house.parameters.state() == RoundState()

    def test_whole_round_from_the_first_target_stores_no_state(self, house: House) -> None:
        house.round()
        assert NAMES.reconcile not in house.parameters.values

    def test_round_begins_after_the_place_of_a_deleted_target(self, house: House) -> None:
        house.parameters.store_state(RoundState("k"))
        house.round()
        assert house.sent_targets() == ["mail", "search", "web", "api", "job"]

    def test_round_without_time_for_a_target_keeps_its_place(self, house: House) -> None:
        house.parameters.store_state(RoundState("mail"))
        assert house.round(self.time_for(0)) == Round(is_whole=False)
        assert house.parameters.state().after == "mail"

    def test_place_that_cannot_be_stored_is_noted_and_the_round_is_still_noted(
        self, house: House
    ) -> None:
        house.parameters.store_error = RefusedError("AWS refused storing")
        done = house.round(self.time_for(2))
        assert (done.sent, done.failed) == (2, 1)
        assert house.notes("round", "failed") == [{"reason": "AWS refused storing"}]
        assert house.journal.lines[-1] == ("round", "cut_short")

    def test_round_without_time_does_not_request_failed_deliveries(self, house: House) -> None:
        house.take_token()
        house.now = START + timedelta(hours=7)
        house.round(self.time_for(5))
        assert ("failed_deliveries", "octo/site") not in house.reading.calls


class TestBranchTips:
    def test_each_branch_of_a_repository_with_a_token_is_requested_once(self, house: House) -> None:
        house.store(NAMES.repository_github_token(SITE), TOKEN)
        targets = [target_json("api"), target_json("web"), target_json("dev", branch="dev")]
        house.store(NAMES.targets(SITE), json.dumps(targets))
        house.store_targets("other", repository=OTHER)
        house.round()
        assert house.reading.calls == [("head", "main"), ("head", "dev")]

    @pytest.mark.parametrize(
        "error", [NotTakenError("no Contents: read"), UnavailableError("GitHub is not well")]
    )
    def test_unreadable_branch_is_noted_once_and_the_newest_push_counts(
        self, house: House, error: PulleyError
    ) -> None:
        house.take_token()
        house.store(NAMES.targets(SITE), json.dumps([target_json("api"), target_json("web")]))
        house.reading.errors["head"] = error
        house.add_hosts(1)
        house.push(command_of(COMMIT, 1), on(1, details="DeliveryTimedOut"))
        assert house.round().sent == 1
        assert house.reading.calls == [("head", "main")]
        assert house.notes("round", "not_asked") == [
            {"repository": "octo/site", "reason": str(error)}
        ]

    def test_known_refusal_is_not_noted_again(self, house: House) -> None:
        house.take_token()
        house.reading.errors["head"] = NotTakenError("no Contents: read", is_known=True)
        assert house.round() == Round(targets=1)
        assert house.notes("round", "not_asked") == []

    def test_deleted_branch_sends_nothing(self, house: House) -> None:
        house.take_token()
        house.add_hosts(1)
        house.push(command_of(COMMIT, 1), on(1, line_of()))
        assert house.round() == Round(targets=1, hosts=1)


LOST = FailedDelivery("guid-1", "push", START, "timed out", 504)


class TestLostDeliveries:
    @pytest.fixture(autouse=True)
    def _token(self, house: House) -> None:
        house.take_token()
        house.reading.lost = [LOST]
        house.now = START + timedelta(hours=6, minutes=7)

    def test_lost_deliveries_are_noted_once_an_hour_with_their_reasons(self, house: House) -> None:
        for _ in range(8):
            house.round()
            house.rest()
        first = START + timedelta(hours=5, minutes=7)
        assert house.reading.since == [first, first + timedelta(hours=1)]
        assert house.notes("delivery", "lost")[:1] == [
            {"delivery": "guid-1", "repository": "octo/site", "reason": "push: 504 timed out"}
        ]
        assert {one.level for one in house.journal.of("delivery", "lost")} == {"warning"}

    @pytest.mark.parametrize("minutes", [90, 24 * 60])
    def test_longer_interval_looks_back_one_interval(self, house: House, minutes: int) -> None:
        house.interval = timedelta(minutes=minutes)
        house.rest(45)
        house.round()
        assert house.reading.since == [house.now - house.interval]

    def test_without_a_token_github_is_not_called(self, house: House) -> None:
        del house.parameters.values[NAMES.github_token]
        house.round()
        assert house.reading.calls == []

    def test_token_without_webhook_permission_is_noted_once_and_rounds_go_on(
        self, house: House
    ) -> None:
        house.reading.errors["failed_deliveries"] = NotTakenError("it needs Webhooks: read")
        assert house.round() == Round(targets=1)
        house.rest()
        house.round()
        assert house.notes("round", "not_asked") == [
            {"repository": "octo/site", "reason": "it needs Webhooks: read"}
        ]
        assert len(house.journal.of("round", "whole")) == 2


class TestCatchUp:
    def end_without_an_event(
        self, house: House, *, hours_ago: float = 1.0, number: int = 1
    ) -> None:
        house.add_hosts(1)
        requested = house.now - timedelta(hours=hours_ago)
        house.push(replace(command_of(COMMIT, number), requested=requested), on(1, line_of()))

    def test_deployment_whose_last_event_was_lost_is_synced_once(self, house: House) -> None:
        house.take_token()
        house.deployments.add(COMMIT)
        self.end_without_an_event(house)
        for _ in range(3):
            assert house.round() == Round(targets=1, hosts=1)
        assert house.deployments.states(7001) == ["success"]
        assert [one.subject.partition(",")[0] for one in house.topic.published] == ["web: success"]

    def test_missing_deployment_is_made_once(self, house: House) -> None:
        house.take_token()
        self.end_without_an_event(house)
        for _ in range(3):
            house.round()
        assert list(house.deployments.made) == [7001]

    def test_without_a_token_nothing_is_posted_or_notified(self, house: House) -> None:
        self.end_without_an_event(house)
        house.round()
        assert (house.deployments.calls, house.topic.published) == ([], [])

    @pytest.mark.parametrize("hours", [2, 48])
    def test_old_commands_are_not_synced(self, house: House, hours: int) -> None:
        house.take_token()
        self.end_without_an_event(house, hours_ago=hours)
        house.round()
        assert house.deployments.calls == []

    @pytest.mark.parametrize("hours", [2, 8, 17.9])
    def test_command_that_ended_during_a_github_outage_is_synced_within_six_hours(
        self, house: House, hours: float
    ) -> None:
        house.take_token()
        self.end_without_an_event(house, hours_ago=0)
        house.deployments.errors["find"] = [UnavailableError("GitHub is not well")] * 1000
        for _ in range(int(hours * 4)):
            house.round()
            house.rest()
        house.deployments.errors.clear()
        for _ in range(6 * 4):
            house.round()
            house.rest()
        assert house.deployments.states(7001) == ["success"]

    def test_synced_deployment_costs_two_requests_a_round_then_every_sixth_hour(
        self, house: House
    ) -> None:
        house.take_token()
        self.end_without_an_event(house, hours_ago=0)
        house.round()
        asked = []
        for _ in range(48 * 4):
            house.rest()
            house.deployments.calls.clear()
            house.round()
            asked.append(len(house.deployments.calls))
        assert asked[:7] == [2] * 7
        assert (sum(asked[7:]), set(asked)) == (2 * 4, {0, 2})

    def test_long_roll_out_is_synced_after_its_end(self, house: House) -> None:
        house.take_token()
        self.end_without_an_event(house, hours_ago=5)
        (command,) = house.history.commands.values()
        hosts = house.history.hosts[command.id]
        for hours_ago, calls in ((1, []), (0.9, ["find"])):
            expires = house.now - timedelta(hours=hours_ago)
            house.history.add(replace(command, expires=expires), *hosts)
            house.round()
            assert house.deployments.calls[:1] == calls

    def test_command_in_progress_is_not_synced(self, house: House) -> None:
        house.take_token()
        house.push(
            replace(command_of(COMMIT, 1, status="InProgress"), requested=house.now), running(1)
        )
        house.round()
        assert house.deployments.calls == []

    def test_commit_sent_twice_is_synced_once(self, house: House) -> None:
        house.take_token()
        for number in (1, 2):
            self.end_without_an_event(house, number=number, hours_ago=1 / number)
        house.round()
        assert house.deployments.calls.count("find") == 2  # before and after the deployment is made

    def test_catch_up_reads_the_commands_again(self, house: House) -> None:
        house.take_token()
        self.end_without_an_event(house)
        house.round()
        assert house.history.calls.count("commands_since") > 1

    def test_unavailable_github_is_noted_for_the_target_and_tried_again(self, house: House) -> None:
        house.take_token()
        self.end_without_an_event(house)
        house.deployments.errors["find"] = [UnavailableError("GitHub is not well")]
        assert house.round() == Round(targets=1, hosts=1, failed=1)
        (facts,) = house.notes("round", "failed")
        assert facts["reason"] == "GitHub is not well"
        house.round()
        assert house.deployments.states(7001) == ["success"]

    def test_token_without_deployment_permission_is_noted_and_the_round_succeeds(
        self, house: House
    ) -> None:
        house.take_token()
        self.end_without_an_event(house)
        house.deployments.errors["find"] = [NotTakenError("it needs Deployments: write")]
        assert house.round() == Round(targets=1, hosts=1)
        (facts,) = house.notes("deployment", "not_reported")
        assert facts["reason"] == "it needs Deployments: write"

    def test_token_is_not_in_journal_or_topic(self, house: House) -> None:
        house.take_token()
        self.end_without_an_event(house)
        house.round()
        assert house.topic.published
        assert TOKEN not in repr(house.journal.decisions) + repr(house.topic.published)
