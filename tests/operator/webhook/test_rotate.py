"""A rotation refuses no delivery at any moment, even if it is stopped half-way.

The world here has Parameter Store, warm Lambdas that run the real receiver and remember, a stranger
who uses up their look-ups of unknown secrets, and deliveries that take ten seconds.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.webhook import SignatureError
from chalicelib.edges.parameters import ParameterStore
from chalicelib.flows.deploy import Deployer
from chalicelib.flows.receive import Ignored, Receiver
from chalicelib.flows.verify import Verifier
from pulley.operator.aws.parameters import Parameters
from pulley.operator.webhook.hooks import Webhooks
from pulley.operator.webhook.rotate import (
    WAIT_SECONDS,
    Proof,
    Rotation,
    StoredSecret,
    repositories_of,
)
from tests.fakes import (
    NAMES,
    SITE,
    STAGE,
    FakeAnnouncements,
    FakeCommands,
    FakeDeployments,
    FakeJournal,
    FakeWaker,
    delivery_of,
    target_json,
    targets_text,
)

URL = "https://abc.execute-api.eu-west-1.amazonaws.com/api/github"
DOCS = Repository("octo", "docs")
START = datetime(2030, 1, 31, 12, tzinfo=UTC)
NAME = NAMES.webhook_secret


class KilledError(BaseException):
    """The command is killed: nothing catches it."""


class Lambda:
    """A warm Lambda, which has read the stored values and remembers them."""

    def __init__(self, world: "World") -> None:
        self.store = ParameterStore(world, STAGE, lambda: world.seconds)  # type: ignore[arg-type]
        commands, journal = FakeCommands(), FakeJournal()
        announcements = FakeAnnouncements(FakeDeployments())
        deployer = Deployer(STAGE, self.store, commands, announcements, journal)
        verifier = Verifier(allow_sha1=False, parameters=self.store)
        self.receiver = Receiver(verifier, deployer, FakeWaker(), journal)
        for one in world.hooks:
            self.store.settings(one)

    def take(self, repository: Repository, event: str, secret: str) -> str:
        payload = {"repository": {"full_name": str(repository)}}
        delivery = delivery_of(payload, event=event, secret=secret)
        outcome = self.receiver.receive(delivery, now=START)
        assert isinstance(outcome, Ignored)
        return outcome.reason

    def use_up(self) -> None:
        """Use up the look-ups, as a stranger can at any time."""
        while self.store._budget.spend():
            pass


class World:
    """AWS's client and GitHub's API at once. `kill_at` is the call that does not return."""

    exceptions = SimpleNamespace(ParameterAlreadyExists=EOFError, ParameterNotFound=EOFError)

    def __init__(self, *repositories: Repository) -> None:
        self.seconds = 1000.0
        self.calls = 0
        self.kill_at = -1
        self.others: list[str] = []  # what somebody else stores just before the next write
        self.values = {NAME: [("old", START - timedelta(days=90))]}
        self.hooks = dict.fromkeys(repositories or (SITE,), "old")
        self.active = True
        self.errors: dict[Repository, Exception] = {}
        self.pings: list[dict[str, object]] = []
        self.on_its_way: list[tuple[float, Repository, str]] = []
        for one in self.hooks:
            targets = targets_text(target_json(repository=str(one)))
            self.values[NAMES.targets(one)] = [(targets, START)]
        self.fresh = Lambda(self)
        self.lambdas: list[Lambda] = []
        self.refused = 0
        for _ in range(4):
            self.lambdas.append(Lambda(self))
            self.pass_time(15)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    @property
    def lines(self) -> list[str]:
        return self.values[NAME][-1][0].split("\n")

    def pass_time(self, seconds: float) -> None:
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(end, self.seconds + 5)
            self.deliver()

    def deliver(self) -> None:
        """Each webhook sends to every Lambda, and deliveries sent ten seconds ago arrive."""
        self.on_its_way += [(self.seconds, one, secret) for one, secret in self.hooks.items()]
        due = [one for one in self.on_its_way if self.seconds - one[0] >= 10]
        self.on_its_way = [one for one in self.on_its_way if one not in due]
        arriving = {(one, secret) for _, one, secret in due} | set(self.hooks.items())
        for repository, secret in arriving:
            for one in self.lambdas:
                one.use_up()
                try:
                    one.take(repository, "check_run", secret)
                except (SignatureError, UnavailableError):
                    self.refused += 1

    def step(self) -> None:
        self.calls += 1
        if self.calls == self.kill_at:
            raise KilledError
        self.deliver()

    # AWS's client. Lambdas use it too; their reads are not steps of the command.

    def get_parameters(self, *, Names: list[str], **_: object) -> dict[str, object]:  # noqa: N803
        found = [
            {"Name": one, "Value": value, "Version": len(self.values[one]), "LastModifiedDate": at}
            for one in Names
            if one in self.values
            for value, at in self.values[one][-1:]
        ]
        missing = [one for one in Names if one not in self.values]
        return {"Parameters": found, "InvalidParameters": missing}

    def put_parameter(self, *, Name: str, Value: str, **_: object) -> dict[str, int]:  # noqa: N803
        for other in self.others:
            self.values[Name].append((other, self.now))
        self.others = []
        self.values[Name].append((Value, self.now))
        self.step()  # the value is stored, and the answer may be lost
        return {"Version": len(self.values[Name])}

    def describe_parameters(self, **_: object) -> dict[str, object]:
        self.step()
        return {"Parameters": []}

    def get_paginator(self, _name: str) -> Any:  # noqa: ANN401 - boto3's
        versions = [
            {"Value": value, "Version": count, "LastModifiedDate": at}
            for count, (value, at) in enumerate(self.values[NAME], 1)
        ]
        return SimpleNamespace(paginate=lambda **_: [{"Parameters": versions}])

    # GitHub's API.

    def call(
        self,
        method: str,
        repository: Repository,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        **_: object,
    ) -> object:
        self.step()
        if repository in self.errors:
            raise self.errors[repository]
        path = path.partition("?")[0]
        if path == "/hooks":
            place = {"url": URL, "content_type": "json", "secret": "********"}
            return [{"id": 7, "config": place, "events": ["push"], "active": self.active}]
        if method == "PATCH" and body:
            self.hooks[repository] = body["secret"]
            self.step()  # GitHub has the secret, and the answer may be lost
            return {}
        if path == "/hooks/7/pings":
            self.fresh.use_up()
            try:
                said, code = self.fresh.take(repository, "ping", self.hooks[repository]), 200
            except SignatureError as error:
                said, code = str(error), 401
            self.pings.append({"id": len(self.pings), "event": "ping", "said": said, "code": code})
            return None
        if path == "/hooks/7/deliveries":
            return list(reversed(self.pings))
        answer = {"payload": json.dumps({"ignored": self.pings[-1]["said"]})}
        return {"status_code": self.pings[-1]["code"], "status": "OK", "response": answer}

    def rotation(self) -> Rotation:
        def webhooks(repository: Repository) -> Webhooks | None:
            return Webhooks(
                self,  # type: ignore[arg-type]
                repository,
                "token",
                clock=lambda: self.seconds,
                sleep=self.pass_time,
            )

        parameters = Parameters(self)  # type: ignore[arg-type]
        return Rotation(parameters, NAME, URL, webhooks, self.pass_time)

    def rotate(
        self, *, wait: float = WAIT_SECONDS, in_between: float = WAIT_SECONDS
    ) -> list[Proof]:
        """Rotate as the command does, with waits that a test may shorten."""
        rotation = self.rotation()
        stored = rotation.begin()
        self.pass_time(stored.seconds_to_wait(wait, now=self.now))
        rotation.check(stored)
        proofs = [rotation.prove(one, stored.secrets[0], set_it=True) for one in self.hooks]
        if not any(one.problem for one in proofs):
            self.pass_time(in_between)
            rotation.end(stored)
        self.pass_time(WAIT_SECONDS)
        return proofs


@pytest.fixture
def world() -> World:
    return World()


class TestWholeRotation:
    def test_new_secret_replaces_the_old_and_no_delivery_is_refused(self, world: World) -> None:
        assert world.rotate() == [Proof(SITE, 1)]
        (new,) = world.lines
        assert len(new) == 64
        assert world.hooks == {SITE: new}
        assert world.refused == 0

    def test_without_the_first_wait_lambdas_refuse_deliveries(self, world: World) -> None:
        world.rotate(wait=0)
        assert world.refused > 0

    def test_without_the_second_wait_a_late_delivery_is_refused(self, world: World) -> None:
        world.rotate(in_between=0)
        new_lambda = Lambda(world)
        with pytest.raises(SignatureError):
            new_lambda.take(SITE, "check_run", "old")

    def test_repositories_that_share_the_secret_all_get_it(self) -> None:
        world = World(SITE, DOCS)
        assert world.rotate() == [Proof(SITE, 1), Proof(DOCS, 1)]
        assert set(world.hooks.values()) == set(world.lines)
        assert world.refused == 0

    def test_rotation_killed_at_any_step_refuses_no_delivery_and_the_next_run_completes_it(
        self,
    ) -> None:
        whole = World(SITE, DOCS)
        whole.rotate()
        assert whole.calls > 10
        for step in range(1, whole.calls + 1):
            world = World(SITE, DOCS)
            world.kill_at = step
            with pytest.raises(KilledError):
                world.rotate()
            world.pass_time(5)
            assert set(world.hooks.values()) <= set(world.lines), step
            assert len(world.lines) <= 2, step
            world.rotate()
            assert [*{*world.hooks.values()}] == world.lines, step
            assert world.refused == 0, step

    def test_next_run_uses_the_new_secret_of_a_killed_run(self, world: World) -> None:
        stored = world.rotation().begin()
        world.pass_time(3600)
        again = world.rotation().begin()
        assert again.secrets == stored.secrets
        assert again.seconds_to_wait(WAIT_SECONDS, now=world.now) == 0


class TestSecondsToWait:
    @pytest.mark.parametrize(
        ("age", "seconds"), [(0, 70), (69, 70), (300, 70), (370, 70), (371, 0), (-60, 70)]
    )
    def test_recently_stored_secret_is_waited_for_even_with_a_wrong_clock(
        self, world: World, age: int, seconds: int
    ) -> None:
        stored = world.rotation().begin()
        now = world.now + timedelta(seconds=age)
        assert stored.seconds_to_wait(70, now=now) == seconds


class TestUnprovenWebhook:
    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (NotTakenError("the token needs the permission Webhooks: write"), "Webhooks: write"),
            (UnavailableError("GitHub is not well", detail="502"), "GitHub is not well: 502"),
        ],
    )
    def test_old_secret_stays_and_the_repository_is_named(
        self, error: Exception, words: str
    ) -> None:
        world = World(SITE, DOCS)
        world.errors[DOCS] = error
        fine, bad = world.rotate()
        assert (fine.problem, words in bad.problem) == ("", True)
        assert world.lines[1:] == ["old"]
        assert world.refused == 0

    def test_inactive_webhook_is_a_problem_and_the_old_secret_stays(self, world: World) -> None:
        world.active = False
        (proof,) = world.rotate()
        assert proof.problem == "its webhook 7 is switched off, and cannot be pinged"
        assert world.lines[1:] == ["old"]

    def test_webhook_of_another_address_is_not_touched(self, world: World) -> None:
        rotation = world.rotation()
        elsewhere = Rotation(
            rotation.parameters, NAME, f"{URL}2/github", rotation.webhooks, rotation.sleep
        )
        stored = elsewhere.begin()
        proof = elsewhere.prove(SITE, stored.secrets[0], set_it=True)
        assert proof.problem == f"none of its webhooks posts to {URL}2/github"
        assert world.hooks == {SITE: "old"}

    def test_webhook_with_the_old_secret_is_a_problem_until_it_is_changed(
        self, world: World
    ) -> None:
        rotation = world.rotation()
        stored = rotation.begin()
        proof = rotation.prove(SITE, stored.secrets[0], set_it=False)
        assert "signed with an older secret" in proof.problem
        world.hooks[SITE] = stored.secrets[0].decode()  # by hand
        assert rotation.prove(SITE, stored.secrets[0], set_it=False) == Proof(SITE, 1)

    def test_webhook_of_another_stage_is_left_alone_although_its_ping_succeeds(
        self, world: World
    ) -> None:
        rotation = replace(world.rotation(), name="/pulley/prod/webhook-secret")
        world.values[rotation.name] = [("prod-new\nprod-old", START)]
        for set_it in (True, False):
            proof = rotation.prove(SITE, b"prod-new", set_it=set_it)
            assert "signed with the newest secret of dev/webhook-secret. No ping" in proof.problem
            assert "a secret in /pulley/prod/webhook-secret is valid at" in proof.problem
            assert proof.problem.endswith("the webhook was not changed")
        assert world.hooks == {SITE: "old"}
        assert world.refused == 0

    def test_webhook_with_an_unknown_secret_is_left_alone(self, world: World) -> None:
        world.hooks[SITE] = "of another stage"
        (proof,) = world.rotate()
        assert "was answered 401: the signature does not match" in proof.problem
        assert "No ping shows" in proof.problem
        assert world.hooks == {SITE: "of another stage"}
        assert world.lines[1:] == ["old"]

    def test_inactive_webhook_keeps_its_secret(self, world: World) -> None:
        world.active = False
        world.rotate()
        assert world.hooks == {SITE: "old"}

    def test_missing_token_is_a_problem(self, world: World) -> None:
        rotation = Rotation(
            Parameters(world),  # type: ignore[arg-type]
            NAME,
            URL,
            lambda _repository: None,
            world.pass_time,
        )
        assert rotation.prove(SITE, b"new", set_it=True).problem == "there is no token for GitHub"


class TestTwoAtOnce:
    def test_secret_of_a_concurrent_rotation_is_used(self, world: World) -> None:
        world.others = ["theirs\nold"]
        assert world.rotation().begin().secrets == (b"theirs", b"old")

    def test_secret_stored_at_the_same_moment_stays_valid(self, world: World) -> None:
        world.others = ["theirs"]
        new, *others = world.rotation().begin().secrets
        assert len(new) == 64
        assert others == [b"theirs", b"old"]

    def test_secret_stored_during_the_rotation_stops_it_before_the_drop(self, world: World) -> None:
        rotation = world.rotation()
        stored = rotation.begin()
        world.values[NAME].append(("theirs\nold", world.now))
        for use in (rotation.check, rotation.end):
            with pytest.raises(UnavailableError, match="somebody else changed"):
                use(stored)
        assert world.lines == ["theirs", "old"]

    def test_secret_stored_at_the_moment_of_the_drop_is_restored(self, world: World) -> None:
        rotation = world.rotation()
        stored = rotation.begin()
        world.others = ["theirs\nold"]
        with pytest.raises(UnavailableError, match="somebody else changed"):
            rotation.end(stored)
        assert world.lines == ["theirs", "old"]


class TestRead:
    @pytest.mark.parametrize("value", ["", " \n "])
    def test_missing_secret_is_an_error_that_names_setup(self, world: World, value: str) -> None:
        world.values[NAME].append((value, world.now))
        with pytest.raises(UnavailableError, match="pulley setup stores one"):
            world.rotation().begin()

    def test_secret_is_not_in_the_repr(self, world: World) -> None:
        stored = world.rotation().begin()
        assert isinstance(stored, StoredSecret)
        assert "old" not in repr(stored)
        assert stored.secrets[0].decode() not in repr(stored)


class TestRepositoriesOf:
    def test_repositories_with_their_own_secret_are_left_out(self) -> None:
        world = World(SITE, DOCS)
        own = NAMES.repository_webhook_secret
        world.values[own(DOCS)] = [("own", START)]
        parameters = Parameters(world)  # type: ignore[arg-type]
        assert repositories_of(parameters, own, [SITE, DOCS]) == [SITE]
        assert repositories_of(parameters, own, []) == []
