"""Targets that follow tags: what wakes a round, and which tag a round sends.

Only a round decides, by what GitHub says then. Nothing goes back to a lower version.
"""

import json
from dataclasses import replace

import pytest

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Command
from chalicelib.core.refs import Branch, CommitSha
from chalicelib.core.tags import TaggedCommit, tag_released
from chalicelib.core.targets import Target, parse_target
from chalicelib.edges.github_api import TokenError
from chalicelib.flows.branches import Branches
from chalicelib.flows.receive import Accepted, Ignored
from chalicelib.flows.round import Round
from tests.fakes import (
    GUID,
    NAMES,
    SITE,
    TOKEN,
    FakeJournal,
    delivery_of,
    target_json,
)
from tests.flows.runs import command_of, line_of, on
from tests.flows.test_receive import House as ReceivingHouse
from tests.flows.test_reconcile import FakeReading
from tests.flows.test_reconcile import House as RoundHouse

AWAY = UnavailableError("GitHub is not well", detail="502")
WAITS = "it waits for a round, which takes the highest version of v*"


def tag_json(name: str = "web", tag: str = "v*", **changes: object) -> dict[str, object]:
    """A stored target that follows tags."""
    entry = target_json(name, tag=tag, recheck="20d") | changes
    del entry["branch"]
    return entry


def sha(number: int) -> str:
    return f"{number:040x}"


def tagged(**numbers: int) -> list[TaggedCommit]:
    """Tags as GitHub's edge lists them; `v1_0=2` is the tag v1.0 at the commit 2."""
    return [
        TaggedCommit(name.replace("_", "."), CommitSha(sha(number)))
        for name, number in numbers.items()
    ]


class House(RoundHouse):
    """A stage with a token, a target that follows `v*`, and one host of it."""

    def __init__(self, *targets: dict[str, object]) -> None:
        super().__init__()
        self.take_token()
        self.store(NAMES.targets(SITE), json.dumps(targets or [tag_json()]))
        self.add_hosts(1)

    def tag(self, pattern: str = "v*", **numbers: int) -> None:
        """From now on, GitHub has these tags, the highest first."""
        self.reading.tags[SITE, pattern] = tagged(**numbers)

    def arrive(self) -> None:
        """End all commands under way: each host is at the command's commit."""
        for id_, command in list(self.history.commands.items()):
            if command.is_over or not isinstance(command, Command):
                continue
            line = line_of(command.roll_out.commit.sha, target=command.roll_out.target)
            hosts = [
                replace(one, status="Success", details="Success", output=line, ended=self.now)
                for one in self.history.hosts[id_]
            ]
            self.history.add(replace(command, status="Success", details="Success"), *hosts)

    def settle(self, rounds: int = 3) -> None:
        for _ in range(rounds):
            self.round()
            self.arrive()
            self.rest()

    @property
    def sent(self) -> list[tuple[str, int, str, str]]:
        """Each command: its `Branch`, the number of its commit, its `Update` and its cause."""
        return [
            (one["Branch"], int(one["Commit"], 16), one["Update"], one["Cause"])
            for one in (request.parameters for request in self.commands.sent)
        ]


@pytest.fixture
def house() -> House:
    return House()


class TestRound:
    def test_highest_tag_is_sent_by_its_name_and_commit(self, house: House) -> None:
        house.tag(v1_1=2, v1_0=1)
        assert house.round() == Round(targets=1, hosts=1, sent=1)
        assert house.sent == [("v1.1", 2, "tag", "push")]
        assert [one.commit for one in house.deployments.made.values()] == [sha(2)]

    def test_it_is_sent_once_and_github_is_told_that_it_arrived(self, house: House) -> None:
        house.tag(v1_0=1)
        house.settle()
        assert len(house.sent) == 1
        assert house.deployments.states(7001) == ["success"]

    def test_without_tags_nothing_is_sent_or_asked_about_the_branch(self, house: House) -> None:
        house.tag()
        assert house.round().sent == 0
        assert house.reading.calls == [("tags", "v*, releases: False")]

    def test_higher_tag_follows_and_a_lower_one_does_not(self, house: House) -> None:
        house.tag(v1_1=1)
        house.settle()
        house.tag(v1_1=1, v1_0_1=2)
        house.settle()
        house.tag(v1_2=3, v1_1=1, v1_0_1=2)
        house.settle()
        assert [one[:2] for one in house.sent] == [("v1.1", 1), ("v1.2", 3)]

    def test_nothing_goes_back_after_a_pin_of_more_than_a_month(
        self,
    ) -> None:
        house = House(tag_json(recheck="1d"))
        house.tag(v1_2=2, v1_1=1)
        house.settle()
        pin = {"state": "pinned", "commit": sha(1), "reason": "x"}
        house.store(NAMES.pin("web"), json.dumps(pin))
        for _ in range(32):
            house.settle(1)
            house.rest(24 * 60)
        house.store(NAMES.pin("web"), json.dumps({"state": "none", "reason": "x"}))
        house.tag(v1_1=1)  # v1.2 was deleted
        before = len(house.sent)
        house.settle()
        assert house.sent[before:] == []
        house.tag(v1_2=2, v1_1=1)
        house.settle()
        assert [one[:2] for one in house.sent[before:]] == [("v1.2", 2)]

    def test_moved_tag_is_sent_again_and_so_is_one_that_moves_back(self, house: House) -> None:
        for number in (1, 2, 1):
            house.tag(v1=number)
            house.settle()
        assert [one[:2] for one in house.sent] == [("v1", 1), ("v1", 2), ("v1", 1)]

    def test_release_at_the_commit_of_its_pre_release_is_sent(self, house: House) -> None:
        house.reading.tags[SITE, "v*"] = [TaggedCommit("v1-rc.1", CommitSha(sha(1)))]
        house.settle()
        house.tag(v1=1)
        house.settle()
        assert [one[:2] for one in house.sent] == [("v1-rc.1", 1), ("v1", 1)]

    def test_deleted_tag_sends_nothing_and_hosts_stay(self, house: House) -> None:
        house.tag(v1_1=2, v1_0=1)
        house.settle()
        house.tag(v1_0=1)
        house.settle()
        house.tag()
        house.settle()
        assert [one[:2] for one in house.sent] == [("v1.1", 2)]

    def test_host_that_starts_later_gets_the_tag_that_was_sent_last(self, house: House) -> None:
        house.tag(v1=1)
        house.settle()
        house.add_hosts(2)
        house.settle()
        assert house.sent[1:] == [("v1", 1, "tag", "reconcile")]

    @pytest.mark.parametrize("error", [AWAY, TokenError("the token may not")])
    def test_without_an_answer_of_github_hosts_stay(
        self, house: House, error: UnavailableError | TokenError
    ) -> None:
        house.tag(v1=1)
        house.settle()
        house.tag(v2=2)
        house.reading.errors["tags"] = error
        house.settle()
        house.add_hosts(2)
        house.settle()
        assert [one[:2] for one in house.sent] == [("v1", 1), ("v1", 1)]
        assert house.notes("round", "not_asked")

    def test_without_a_token_nothing_is_sent(self, house: House) -> None:
        house.tag(v1=1)
        del house.parameters.values[NAMES.github_token]
        assert house.round().sent == 0

    def test_releases_alone_are_asked_for(self) -> None:
        house = House(tag_json(releases=True))
        house.tag(v1=1)
        house.round()
        assert house.reading.calls[0] == ("tags", "v*, releases: True")
        assert [one[:2] for one in house.sent] == [("v1", 1)]

    def test_new_pattern_sends_its_highest_tag_even_if_it_is_lower(self, house: House) -> None:
        house.tag(v9=9)
        house.settle()
        house.store(NAMES.targets(SITE), json.dumps([tag_json(tag="site-*")]))
        house.reading.tags[SITE, "site-*"] = [TaggedCommit("site-1", CommitSha(sha(1)))]
        house.settle()
        assert [one[:2] for one in house.sent] == [("v9", 9), ("site-1", 1)]

    def test_target_that_followed_a_branch_gets_its_first_tag(self, house: House) -> None:
        house.push(command_of(sha(5)), on(1, line_of(sha(5))))
        house.tag()
        house.settle()
        assert house.sent == []  # no tag yet: the host stays
        house.tag(v1=1)
        house.settle()
        assert [one[:2] for one in house.sent] == [("v1", 1)]


class TestGates:
    def test_highest_tag_whose_checks_are_green_goes_out(self) -> None:
        house = House(tag_json(checks=["test"]))
        house.tag(v1_2=3, v1_1=2, v1_0=1)
        house.deployments.checks = {
            sha(3): {"test": "failure"},
            sha(2): {"test": "success"},
            sha(1): {"test": "success"},
        }
        house.settle()
        assert [one[:3] for one in house.sent] == [("v1.1", 2, "tag-to")]
        house.deployments.checks[sha(3)] = {"test": "success"}
        house.settle()
        assert [one[:2] for one in house.sent] == [("v1.1", 2), ("v1.2", 3)]

    def test_manual_target_gets_nothing_by_a_round(self) -> None:
        house = House(tag_json(trigger="manual"))
        house.tag(v1=1)
        house.settle()
        assert house.sent == []


class TestRequests:
    """`trigger = "deployment"`: somebody else's deployment names the commit of a tag."""

    @pytest.fixture
    def house(self) -> House:
        house = House(tag_json(trigger="deployment"))
        house.deployments.now = house.now
        house.tag(v1_2=3, v1_1=2, v1_0=1)
        return house

    def ask(self, house: House, number: int) -> int:
        return house.deployments.add(sha(number), stage="", target="").id

    def said(self, house: House, request: int) -> list[str]:
        log = house.deployments.log[request]
        return [f"{one.state}: {one.description}" for one in log]

    def test_commit_goes_out_by_its_tag_and_may_be_lower(self, house: House) -> None:
        house.settle()
        assert house.sent == []
        for number in (2, 1):
            request = self.ask(house, number)
            house.settle()
            assert house.commands.sent[-1].parameters["Deployment"] == str(request)
        assert house.sent == [("v1.1", 2, "tag-to", "push"), ("v1.0", 1, "tag-to", "push")]

    def test_commit_without_a_tag_waits_and_says_why(self, house: House) -> None:
        request = self.ask(house, 9)
        house.settle()
        assert house.sent == []
        words = "queued: waits until 0000000 has a tag that the target follows"
        assert self.said(house, request) == [words]
        house.tag(v1_3=9, v1_2=3)
        house.settle()
        assert [one[:2] for one in house.sent] == [("v1.3", 9)]

    def test_request_that_is_under_review_waits_for_that(self, house: House) -> None:
        request = self.ask(house, 9)
        house.deployments.log[request].append(DeploymentStatus("waiting", ""))
        house.settle()
        (words,) = {str(note["reason"]) for note in house.notes("command", "waits")}
        assert words == f"waits until deployment {request} is approved on GitHub"


class TestPins:
    def test_pinned_target_gets_no_tag_and_its_commit_by_the_tag_sent_last(
        self, house: House
    ) -> None:
        for number in (1, 2):
            house.tag(v1=number)
            house.settle()
        pin = {"state": "pinned", "commit": sha(1), "reason": "the fair"}
        house.store(NAMES.pin("web"), json.dumps(pin))
        house.tag(v2=3)
        house.settle()
        assert house.sent[2:] == [("v1", 1, "exact", "reconcile")]
        house.store(NAMES.pin("web"), json.dumps({"state": "none"}))
        house.settle()
        assert house.sent[3:] == [("v2", 3, "tag", "push")]

    def test_frozen_target_stays(self, house: House) -> None:
        house.store(NAMES.pin("web"), json.dumps({"state": "frozen", "reason": "the fair"}))
        house.tag(v1=1)
        house.settle()
        assert house.sent == []


class TestBranches:
    """GitHub is asked once in a round for each line."""

    def branches(self, reading: FakeReading, *, has_token: bool = True) -> Branches:
        tokens = {SITE: TOKEN} if has_token else {}
        return Branches(reading.of, tokens, FakeJournal())

    def target(self, entry: dict[str, object]) -> Target:
        return parse_target("", entry)

    def test_tags_are_asked_for_once_for_each_pattern(self) -> None:
        reading = FakeReading()
        reading.tags[SITE, "v*"] = tagged(v1=1)
        branches = self.branches(reading)
        for entry in (tag_json("a"), tag_json("b"), tag_json("c", "w*")):
            branches.tags_of(self.target(entry))
        assert branches.tags_of(self.target(tag_json())) == tagged(v1=1)
        assert reading.calls == [("tags", "v*, releases: False"), ("tags", "w*, releases: False")]

    def test_released_tags_are_another_question(self) -> None:
        reading = FakeReading()
        branches = self.branches(reading)
        for releases in (True, False, True, False):
            branches.tags_of(self.target(tag_json(releases=releases)))
        assert reading.calls == [("tags", "v*, releases: True"), ("tags", "v*, releases: False")]

    def test_branch_and_tag_of_one_name_are_two_questions(self) -> None:
        reading = FakeReading()
        reading.heads[SITE, "v1"] = CommitSha(sha(9))
        reading.branches[SITE, "v1"] = [CommitSha(sha(9))]
        reading.tags[SITE, "v1"] = tagged(v1=1)
        branches = self.branches(reading)
        of_tag, of_branch = self.target(tag_json(tag="v1")), self.target(target_json(branch="v1"))
        assert branches.tags_of(of_tag) == tagged(v1=1)
        assert branches.head_of(of_branch) == CommitSha(sha(9))
        assert branches.head_of(of_tag) is None
        assert branches.commits_of(of_tag) == ()
        assert branches.commits_of(of_branch) == [CommitSha(sha(9))]
        assert branches.tags_of(of_branch) == ()
        assert (SITE, Branch("v1")) in branches.heads

    def test_failed_question_is_not_asked_again(self) -> None:
        reading = FakeReading()
        reading.errors["tags"] = AWAY
        branches = self.branches(reading)
        assert [branches.tags_of(self.target(tag_json())) for _ in range(2)] == [(), ()]
        assert len(reading.calls) == 1

    def test_without_a_token_nothing_is_asked(self) -> None:
        reading = FakeReading()
        assert self.branches(reading, has_token=False).tags_of(self.target(tag_json())) == ()
        assert reading.calls == []


class TestReceiveATag:
    @pytest.fixture
    def house(self) -> ReceivingHouse:
        house = ReceivingHouse()
        house.store(NAMES.targets(SITE), [tag_json()])
        return house

    def test_pushed_tag_sends_nothing_and_wakes_a_round(self, house: ReceivingHouse) -> None:
        assert house.push(ref="refs/tags/v1.2") == Ignored(GUID, f"web: {WAITS}")
        assert (house.sent, house.waker.woken) == ([], [SITE])

    @pytest.mark.parametrize("ref", ["refs/tags/x1", "refs/heads/v1.2", "refs/heads/main"])
    def test_push_of_another_ref_wakes_no_round(self, house: ReceivingHouse, ref: str) -> None:
        assert house.push(ref=ref) == Ignored(GUID, f"no target of octo/site follows {ref!r}")
        assert house.waker.woken == []

    def test_deleted_tag_wakes_no_round(self, house: ReceivingHouse) -> None:
        outcome = house.push(ref="refs/tags/v1.2", deleted=True, after="0" * 40)
        assert outcome == Ignored(GUID, "'refs/tags/v1.2' was deleted")
        assert (house.sent, house.waker.woken) == ([], [])

    def test_branch_of_the_tags_name_goes_to_its_own_target(self, house: ReceivingHouse) -> None:
        house.store(NAMES.targets(SITE), [tag_json(), target_json("api", branch="v1")])
        assert house.accept(ref="refs/heads/v1").sent == (("api", "command-1"),)
        assert house.waker.woken == []
        assert isinstance(house.push(ref="refs/tags/v1"), Ignored)
        assert house.waker.woken == [SITE]

    def test_manual_target_wakes_no_round(self, house: ReceivingHouse) -> None:
        house.store(NAMES.targets(SITE), [tag_json(trigger="manual")])
        assert isinstance(house.push(ref="refs/tags/v1"), Ignored)
        assert house.waker.woken == []

    def test_check_of_any_branch_wakes_a_target_that_waits_for_checks(
        self, house: ReceivingHouse
    ) -> None:
        house.store(NAMES.targets(SITE), [tag_json(checks=["test"])])
        run = {"conclusion": "success", "check_suite": {"head_branch": "v1.2"}}
        payload = {"check_run": run, "repository": {"full_name": "octo/site"}}
        assert isinstance(house.receive(delivery_of(payload, event="check_run")), Ignored)
        assert house.waker.woken == [SITE]


def release_json(
    tag: object = "v1.2", action: object = "published", **changes: object
) -> dict[str, object]:
    """A payload of GitHub's event release: the fields that Pulley reads and a few more."""
    return {
        "action": action,
        "release": {"tag_name": tag, "draft": False, "prerelease": False},
        "repository": {"full_name": "octo/site"},
    } | changes


class TestReceiveARelease:
    @pytest.fixture
    def house(self) -> ReceivingHouse:
        house = ReceivingHouse()
        targets = [tag_json(releases=True), tag_json("api"), target_json("main")]
        house.store(NAMES.targets(SITE), targets)
        return house

    def tell(self, house: ReceivingHouse, payload: object) -> str:
        outcome = house.receive(delivery_of(payload, event="release"))
        assert not isinstance(outcome, Accepted)
        return outcome.reason

    @pytest.mark.parametrize("action", ["published", "released"])
    def test_published_release_wakes_a_round(self, house: ReceivingHouse, action: str) -> None:
        said = self.tell(house, release_json(action=action))
        assert said == "release: a round looks whether 'v1.2' goes to web"
        assert (house.sent, house.waker.woken) == ([], [SITE])

    @pytest.mark.parametrize(
        "payload",
        [
            release_json(action="created"),
            release_json(action="edited"),
            release_json(action="deleted"),
            release_json(action="unpublished"),
            release_json(action="prereleased"),
            release_json(action=None),
            release_json(action=["published"]),
            release_json(None),
            release_json(7),
            release_json(""),
            release_json(release=None),
            release_json(release=["v1"]),
            {"repository": {"full_name": "octo/site"}},
        ],
    )
    def test_anything_else_wakes_none(self, house: ReceivingHouse, payload: object) -> None:
        assert self.tell(house, payload) == "release: none was published"
        assert house.waker.woken == []

    @pytest.mark.parametrize("tag", ["x1", "refs/tags/v1", "v1 $(x)", "v" * 500])
    def test_tag_that_does_not_fit_wakes_none(self, house: ReceivingHouse, tag: str) -> None:
        assert self.tell(house, release_json(tag)).startswith("release: no target takes releases")
        assert house.waker.woken == []

    @pytest.mark.parametrize(
        "target",
        [
            tag_json(),
            tag_json(releases=False),
            tag_json(releases=True, trigger="manual"),
            target_json(),
        ],
    )
    def test_target_that_takes_no_releases_wakes_none(
        self, house: ReceivingHouse, target: dict[str, object]
    ) -> None:
        house.store(NAMES.targets(SITE), [target])
        assert self.tell(house, release_json()) == "release: no target takes releases of 'v1.2'"
        assert house.waker.woken == []

    def test_event_of_an_organization_is_not_acted_on(self, house: ReceivingHouse) -> None:
        payload = {"action": "published", "organization": {"login": "octo"}}
        said = self.tell(house, payload)
        assert said == "release events are not acted on"

    def test_tag_of_a_release_is_read(self) -> None:
        assert tag_released(release_json()) == "v1.2"
        assert tag_released({}) == ""
