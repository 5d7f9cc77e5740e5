"""With `trigger = "deployment"` a target gets what somebody else's deployment on GitHub asks for.

That deployment is the one which is reported on, and Pulley's own never ask for anything.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.history import Command, Invocation
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_target
from chalicelib.flows.find_deployment import LOOKS
from chalicelib.flows.notify import Memory, Notifier
from chalicelib.flows.requested import LOOKS_BACK, NEW_SECONDS
from chalicelib.flows.round import Round
from chalicelib.flows.sync import DeploymentSync
from tests.fakes import NAMES, SITE, STAGE, FakeDeployments, target_json
from tests.flows.runs import command_of, line_of
from tests.flows.test_reconcile import House, ids
from tests.flows.test_tags import tag_json, tagged

AWAY = UnavailableError("GitHub is not well", detail="502")
REFUSED = NotTakenError("the token may not do that")
GONE = NotTakenError("the deployment was deleted")
WEB = "production"  # the environment of the target `web`


def sha(number: int) -> str:
    """The commit with that number; a higher number is a newer commit."""
    return f"{number:040x}"


def target_of(name: str = "web", **keys: object) -> dict[str, object]:
    return target_json(
        name,
        instances={"tags": {"role": name}},
        checkout=f"/srv/{name}",
        environment=WEB if name == "web" else name,
        recheck="20d",
        **keys,
    )


class Looked(FakeDeployments):
    """GitHub; `ids` has the deployment of each call of `statuses`."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.ids: list[int] = []

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        self.ids.append(deployment_id)
        return super().statuses(deployment_id)


class Requested(House):
    """A stage with a token. The target `web` has the trigger, two hosts, and commits 1 to 9."""

    def __init__(self, *targets: dict[str, object]) -> None:
        super().__init__()
        self.take_token()
        targets = targets or (target_of(trigger="deployment"),)
        self.store(NAMES.targets(SITE), json.dumps(targets))
        self.add_hosts(1, 2)
        self.tell_branch(9)
        self.deployments = self.looked = Looked(self.now)

    def tell_branch(self, tip: int) -> None:
        commits = [CommitSha(sha(number)) for number in range(tip, 0, -1)]
        self.reading.branches[SITE, "main"] = commits
        self.reading.heads[SITE, "main"] = commits[0]

    def ask(self, number: int, *states: str, environment: str = WEB) -> int:
        """Somebody else makes a deployment of the commit. Returns its id."""
        made = self.deployments.add(sha(number), environment, stage="", target="")
        created = replace(made, created=self.now)
        self.deployments.made[made.id] = created
        for state in states:
            self.say(made.id, state)
        return made.id

    def say(self, request: int, state: str) -> None:
        """Somebody else posts a state, as GitHub Actions does: without a description."""
        self.deployments.log[request].append(DeploymentStatus(state, ""))

    def sent(self) -> list[tuple[int, str]]:
        """The number of each command's commit, and its deployment."""
        return [
            (int(one.parameters["Commit"], 16), one.parameters["Deployment"])
            for one in self.commands.sent
        ]

    def arrive(self, *only: int) -> None:
        """End all commands under way on all hosts, or on those with these numbers."""
        for id_, command in list(self.history.commands.items()):
            if not isinstance(command, Command) or command.is_over:
                continue
            roll_out = command.roll_out
            line = line_of(roll_out.commit.sha, target=roll_out.target)
            hosts = [
                replace(one, status="Success", details="Success", output=line, ended=self.now)
                if not only or one.instance_id in ids(*only)
                else replace(one, status="Failed", details="Undeliverable")
                for one in self.history.hosts[id_]
            ]
            self.history.add(replace(command, status="Success", details="Success"), *hosts)

    def settle(self) -> None:
        """A round, the end of what it sent, and a round that reports it."""
        self.round()
        self.rest(1)
        self.arrive()
        self.rest()
        self.round()
        self.rest()

    def said(self, request: int) -> list[str]:
        """What Pulley posted, oldest first."""
        log = self.deployments.log[request]
        return [f"{one.state}: {one.description}" for one in log if one.description]

    @property
    def own(self) -> list[int]:
        """The ids of the deployments that Pulley made for the target `web`."""
        made = self.deployments.made.values()
        return [one.id for one in made if not one.is_foreign and one.environment == WEB]

    def reasons(self) -> list[object]:
        return [note["reason"] for note in self.notes("command", "waits")]

    def sync(self) -> DeploymentSync:
        """The report's sync, in a process that remembers nothing."""
        return DeploymentSync(
            stage=STAGE,
            parameters=self.parameters,
            history=self.history,
            github=lambda _repository, _token: self.deployments,
            notifier=Notifier(STAGE, self.topic, self.journal, self.log_url),
            journal=self.journal,
            memory=Memory(),
        )

    def report(self, place: int, sync: DeploymentSync | None = None) -> DeploymentStatus:
        """Report the command at this place, as its event would."""
        command = list(self.history.commands.values())[place]
        assert isinstance(command, Command)
        return (sync or self.sync()).run(command, now=self.now)


@pytest.fixture
def house() -> Requested:
    return Requested()


class TestRequest:
    def test_it_goes_to_all_hosts_like_a_push_and_not_past_its_commit(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        assert house.round() == Round(targets=1, hosts=2, sent=1)
        (sent,) = house.commands.sent
        assert sent.selectors == (("tag:pulley", (STAGE,)), ("tag:role", ("web",)))
        assert sent.parameters["Update"] == "rebase-to"
        assert sent.parameters["Cause"] == "push"
        assert house.sent() == [(5, str(request))]

    def test_it_is_reported_on_that_deployment_and_pulley_makes_none(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        house.settle()
        assert house.said(request) == ["success: 2 of 2 hosts at 0000000: web-001, web-002"]
        assert house.own == []
        assert "create" not in house.deployments.calls
        assert [one.attributes["state"] for one in house.topic.published] == ["success"]

    def test_it_is_sent_once(self, house: Requested) -> None:
        house.ask(5)
        for _ in range(3):
            house.settle()
        assert len(house.sent()) == 1

    def test_without_a_request_nothing_is_sent_or_said(self, house: Requested) -> None:
        assert house.round() == Round(targets=1, hosts=2)
        assert (house.sent(), house.deployments.made, house.reasons()) == ([], {}, [])

    def test_job_whose_deployment_is_older_than_its_first_status_is_not_sent_without_approval(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        house.meanwhile = lambda: house.say(request, "waiting")
        house.round()
        assert house.sent() == []
        assert house.reasons() == [f"waits until deployment {request} is approved on GitHub"]
        house.say(request, "queued")
        house.round()
        assert house.sent() == [(5, str(request))]

    def test_round_pauses_only_for_a_new_request_without_a_status(self, house: Requested) -> None:
        house.ask(5, "in_progress")
        house.round()
        assert house.pauses == []
        house.ask(6)
        house.rest(2)
        house.round()
        assert house.pauses == []
        house.ask(7)
        house.round()
        assert house.pauses == [NEW_SECONDS]

    @pytest.mark.parametrize("state", ["pending", "queued", "in_progress"])
    def test_state_of_somebody_else_that_is_not_final_does_not_matter(
        self, house: Requested, state: str
    ) -> None:
        request = house.ask(5, state)
        house.round()
        assert house.sent() == [(5, str(request))]

    @pytest.mark.parametrize("state", ["success", "failure", "error", "inactive"])
    def test_request_that_somebody_ended_is_not_sent(self, house: Requested, state: str) -> None:
        request = house.ask(5, "in_progress", state)
        house.round()
        assert house.sent() == []
        assert house.said(request) == []

    def test_end_by_somebody_else_during_the_roll_out_does_not_stop_it_and_is_corrected(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        house.round()
        house.say(request, "failure")
        house.arrive()
        house.rest()
        house.round()
        assert house.deployments.states(request) == ["failure", "success"]
        assert len(house.sent()) == 1

    def test_older_commit_than_that_of_the_hosts_goes_out_because_a_person_wants_it(
        self, house: Requested
    ) -> None:
        house.ask(5)
        house.settle()
        older = house.ask(2)
        house.settle()
        assert house.sent()[1:] == [(2, str(older))]
        assert house.said(older) == ["success: 2 of 2 hosts at 0000000: web-001, web-002"]

    def test_request_in_another_environment_is_not_the_targets(self, house: Requested) -> None:
        house.ask(5, environment="staging")
        house.round()
        assert house.sent() == []

    @pytest.mark.parametrize(("stage", "target"), [(STAGE, "web"), ("prod", "web"), (STAGE, "api")])
    def test_deployment_of_pulley_is_no_request(
        self, house: Requested, stage: str, target: str
    ) -> None:
        house.deployments.add(sha(5), WEB, stage, target)
        house.round()
        assert house.sent() == []

    def test_request_behind_pulleys_own_deployments_is_found(self, house: Requested) -> None:
        request = house.ask(5)
        for _ in range(LOOKS - 1):
            house.deployments.add(sha(4), WEB)
        house.round()
        assert house.sent() == [(5, str(request))]

    def test_deployment_without_a_commit_is_no_request(self, house: Requested) -> None:
        request = house.ask(5)
        made = house.deployments.made[request]
        house.deployments.made[request] = replace(made, commit="")
        house.round()
        assert house.sent() == []

    def test_request_that_systems_manager_may_have_forgotten_is_not_sent_again(
        self, house: Requested
    ) -> None:
        house.ask(5, "in_progress")
        house.now += timedelta(days=30)
        house.round()
        assert house.sent() == []

    @pytest.mark.parametrize("state", ["frozen", "pinned"])
    def test_pinned_target_serves_no_request_until_the_pin_ends(
        self, house: Requested, state: str
    ) -> None:
        request = house.ask(5)
        pin = {"state": state, "reason": "the fair"} | (
            {"commit": sha(3)} if state[0] == "p" else {}
        )
        house.store(NAMES.pin("web"), json.dumps(pin))
        house.round()
        assert str(request) not in [deployment for _, deployment in house.sent()]
        house.store(NAMES.pin("web"), json.dumps({"state": "none"}))
        house.rest()
        house.round()
        assert house.sent()[-1] == (5, str(request))

    def test_target_that_got_a_command_meanwhile_gets_none(self, house: Requested) -> None:
        house.ask(5)

        def send(method: str) -> None:
            command = command_of(sha(7), checkout="/srv/web")
            house.history.add(replace(command, requested=house.now))

        house.deployments.before = send
        house.round()
        assert house.sent() == []

    def test_without_a_token_nothing_is_sent(self, house: Requested) -> None:
        house.ask(5)
        house.store(NAMES.github_token, "")
        house.round()
        assert house.sent() == []


class TestTags:
    """The target follows `v*`: only a commit with such a tag can go out."""

    @pytest.fixture
    def house(self) -> Requested:
        house = Requested(tag_json(trigger="deployment", environment=WEB, checkout="/srv/web"))
        house.reading.tags[SITE, "v*"] = tagged(v2_1=6, v2_0=5, v1_0=2)
        return house

    @pytest.mark.parametrize(("number", "tag"), [(6, "v2.1"), (2, "v1.0")])
    def test_commit_goes_out_by_its_tag_also_if_a_higher_version_is_there(
        self, house: Requested, number: int, tag: str
    ) -> None:
        request = house.ask(number)
        house.settle()
        (sent,) = house.commands.sent
        assert sent.parameters["Branch"] == tag
        assert sent.parameters["Update"] == "tag-to"
        assert house.sent() == [(number, str(request))]
        assert house.deployments.states(request) == ["success"]

    def test_commit_without_a_tag_waits_for_it(self, house: Requested) -> None:
        request = house.ask(7)
        house.round()
        assert house.sent() == []
        assert house.said(request) == [
            "queued: waits until 0000000 has a tag that the target follows"
        ]
        house.reading.tags[SITE, "v*"] = tagged(v3_0=7, v2_1=6)
        house.rest()
        house.round()
        assert house.sent() == [(7, str(request))]

    def test_request_under_review_is_not_told(self, house: Requested) -> None:
        request = house.ask(7, "waiting")
        house.round()
        assert house.deployments.states(request) == ["waiting"]


class TestApproval:
    """A job whose environment has required reviewers: GitHub shows its deployment as `waiting`."""

    def test_request_is_neither_sent_nor_told_before_its_reviewers_approved(
        self, house: Requested
    ) -> None:
        request = house.ask(5, "waiting")
        house.round()
        assert house.sent() == []
        assert house.said(request) == []
        assert house.reasons() == [f"waits until deployment {request} is approved on GitHub"]
        house.say(request, "queued")
        house.rest()
        house.round()
        assert house.sent() == [(5, str(request))]

    def test_closed_gate_is_not_posted_on_top_of_it(self) -> None:
        # A `queued` of Pulley would look like the approval in the next round.
        house = Requested(target_of(trigger="deployment", window="Sat 02:00-04:00 UTC"))
        request = house.ask(5, "waiting")
        for _ in range(2):
            house.round()
        assert house.deployments.states(request) == ["waiting"]
        assert house.sent() == []

    def test_refused_request_is_not_sent(self, house: Requested) -> None:
        house.ask(5, "waiting", "failure")
        house.round()
        assert house.sent() == []


class TestOtherGates:
    @pytest.fixture
    def house(self) -> Requested:
        """Production after staging, which has one host and is at commit 5."""
        house = Requested(
            target_of("staging", trigger="manual"),
            target_of(trigger="deployment", after=["staging"]),
        )
        house.add_hosts(3, role="staging")
        self.stage(house, 5)
        return house

    def stage(self, house: Requested, number: int) -> None:
        """A person brings staging to the commit."""
        count = len(house.history.commands) + 1
        command = command_of(sha(number), count, target="staging", checkout="/srv/staging")
        issued = int(house.now.timestamp() * 1000)
        roll_out = replace(command.roll_out, cause="manual", issued=issued)
        line = line_of(sha(number), target="staging")
        host = Invocation(f"i-{3:017x}", "web-3", "Success", "Success", line, house.now)
        sent = replace(command, roll_out=roll_out, requested=house.now)
        house.push(replace(sent, expires=house.now + timedelta(minutes=20)), host)
        house.rest(1)

    def test_open_gate_lets_the_request_pass(self, house: Requested) -> None:
        request = house.ask(5)
        house.round()
        assert house.sent() == [(5, str(request))]

    def test_closed_gate_is_told_once_on_that_deployment(self, house: Requested) -> None:
        request = house.ask(6, "in_progress")
        for _ in range(3):
            house.round()
        reason = "waits for staging, which is at 0000000"
        assert house.said(request) == [f"queued: {reason}"]
        assert house.reasons() == [reason] * 3
        assert house.own == []

    def test_another_reason_is_told_too_and_older_requests_are_not_looked_at_again(
        self, house: Requested
    ) -> None:
        older, request = house.ask(6), house.ask(7)
        house.round()
        self.stage(house, 6)
        house.directory.known = [
            replace(one, is_online=one.tags["role"] == "web") for one in house.directory.known
        ]
        house.looked.ids.clear()
        house.round()
        assert house.said(request) == [
            "queued: waits for staging, which is at 0000000",
            "queued: waits for staging: it has no host online",
        ]
        assert older not in house.looked.ids

    def test_request_goes_out_when_the_gate_opens(self, house: Requested) -> None:
        request = house.ask(6)
        house.round()
        assert house.sent() == []
        self.stage(house, 6)
        house.round()
        assert house.sent() == [(6, str(request))]

    def test_newer_request_overtakes_the_older_one(self, house: Requested) -> None:
        older = house.ask(6)
        house.round()
        newer = house.ask(7)
        house.round()
        words = f"inactive: overtaken by deployment {newer} while it waited"
        assert house.said(older)[1:] == [words]
        assert house.said(newer) == ["queued: waits for staging, which is at 0000000"]
        self.stage(house, 6)
        house.round()
        assert house.sent() == []
        self.stage(house, 7)
        house.round()
        assert house.sent() == [(7, str(newer))]

    def test_request_that_is_sent_at_once_overtakes_the_older_one(self, house: Requested) -> None:
        older = house.ask(6)
        house.round()
        newer = house.ask(5)
        house.round()
        words = f"inactive: overtaken by deployment {newer} while it waited"
        assert house.said(older)[1:] == [words]
        assert house.sent() == [(5, str(newer))]

    @pytest.mark.parametrize(
        "states", [[], ["queued"], ["in_progress"], ["waiting"], ["success"], ["failure"]]
    )
    def test_overtaken_request_that_pulley_did_not_queue_is_left_alone(
        self, house: Requested, states: list[str]
    ) -> None:
        older = house.ask(6, *states)
        house.ask(7)
        house.round()
        assert house.deployments.states(older) == states

    def test_served_and_forgotten_requests_are_not_looked_at(self, house: Requested) -> None:
        served = house.ask(5)
        house.settle()
        forgotten = house.ask(6)
        made = house.deployments.made[forgotten]
        old = replace(made, created=house.now - timedelta(days=30))
        house.deployments.made[forgotten] = old
        newest = house.ask(7)
        house.rest(180)  # or the round would sync the served one
        house.looked.ids.clear()
        house.round()
        assert newest in house.looked.ids
        assert not {served, forgotten} & set(house.looked.ids)

    def test_search_for_overtaken_requests_is_bounded(self) -> None:
        house = Requested(target_of(trigger="deployment", window="Sat 02:00-04:00 UTC"))
        requests = [house.ask(6) for _ in range(LOOKS_BACK + 5)]
        house.round()
        assert set(house.looked.ids) == set(requests[-LOOKS_BACK - 1 :])

    def test_end_by_somebody_else_while_it_waits_ends_the_request(self, house: Requested) -> None:
        request = house.ask(6)
        house.round()
        house.say(request, "success")
        self.stage(house, 6)
        house.round()
        assert house.sent() == []


class TestFaults:
    @pytest.mark.parametrize("error", [AWAY, REFUSED])
    @pytest.mark.parametrize("method", ["newest", "statuses"])
    def test_if_github_cannot_be_asked_the_gate_stays_closed_until_a_later_round(
        self, house: Requested, method: str, error: PulleyError
    ) -> None:
        request = house.ask(5)
        house.deployments.errors[method] = [error]
        assert house.round().sent == 0
        (note,) = house.notes("round", "not_asked")
        assert note["reason"] == error.in_full
        house.rest()
        house.round()
        assert house.sent() == [(5, str(request))]

    def test_deployment_that_was_deleted_before_is_not_sent(self, house: Requested) -> None:
        request = house.ask(5)

        def delete(method: str) -> None:
            if method == "statuses":
                house.deployments.made.pop(request, None)
                house.deployments.errors["statuses"] = [GONE]

        house.deployments.before = delete
        house.round()
        house.deployments.before = None
        house.rest()
        house.round()
        assert house.sent() == []

    def test_deployment_that_was_deleted_later_gets_a_successor_of_pulley(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        house.round()
        del house.deployments.made[request]
        house.arrive()
        house.rest()
        house.deployments.made[1] = house.deployments.add(sha(1), "other")  # keeps ids apart
        house.round()
        (own,) = house.own
        assert house.deployments.states(own) == ["success"]
        assert len(house.sent()) == 1

    def test_send_that_failed_is_told_and_tried_again_in_the_next_round(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        house.commands.refused["web"] = UnavailableError("Systems Manager throttles")
        assert house.round().failed == 1
        reason = "not sent yet, the next round tries again: Systems Manager throttles"
        assert house.said(request) == [f"queued: {reason}"]
        house.commands.refused.clear()
        house.settle()
        assert house.sent() == [(5, str(request))]
        assert house.deployments.states(request) == ["queued", "success"]

    def test_refusal_to_end_overtaken_requests_does_not_stop_the_release(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        house.deployments.errors["newest"] = [None, REFUSED]
        house.round()
        assert house.sent() == [(5, str(request))]
        assert len(house.notes("round", "not_asked")) == 1

    def test_pins_that_cannot_be_read_raise_and_the_next_round_tries_again(
        self, house: Requested
    ) -> None:
        request = house.ask(5)

        def refuse(method: str) -> None:
            house.parameters.error = AWAY

        house.deployments.before = refuse
        assert house.round().failed >= 1
        assert house.sent() == []
        house.deployments.before, house.parameters.error = None, None
        house.rest()
        house.round()
        assert house.sent() == [(5, str(request))]


class TestReport:
    """Each command of a request's commit is reported on that deployment, whoever sent it."""

    def test_host_that_was_not_reached_and_catches_up_changes_the_same_deployment(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        house.round()
        house.arrive(1)
        house.rest()
        house.round()  # sends to the other host
        house.rest(1)
        house.arrive()
        house.rest()
        house.round()
        assert house.sent() == [(5, str(request)), (5, "")]
        assert house.said(request)[-1] == "success: 2 of 2 hosts at 0000000: web-001, web-002"
        assert house.own == []

    def test_clock_of_github_that_is_fast_does_no_harm(self, house: Requested) -> None:
        request = house.ask(5)
        made = house.deployments.made[request]
        fast = replace(made, created=house.now + timedelta(hours=1))
        house.deployments.made[request] = fast
        house.round()
        house.arrive(1)
        house.rest()
        house.round()
        house.arrive()
        assert house.report(-1).state == "success"
        assert house.deployments.states(request)[-1] == "success"
        assert house.own == []

    def test_persons_deploy_of_the_same_commit_is_reported_there(self, house: Requested) -> None:
        request = house.ask(5)
        house.settle()
        self.deploy(house, 5)
        assert house.report(-1).state == "success"
        assert house.own == []
        assert house.deployments.states(request) == ["success"]

    def test_persons_deploy_of_another_commit_has_a_deployment_of_pulley(
        self, house: Requested
    ) -> None:
        request = house.ask(5)
        house.settle()
        self.deploy(house, 6)
        house.report(-1)
        (own,) = house.own
        assert house.deployments.states(own) == ["success"]
        assert house.deployments.states(request) == ["success", "inactive"]
        house.rest()
        house.round()
        assert len(house.sent()) == 1  # neither its own deployment nor the old request asks

    def test_older_deployment_of_pulley_of_the_same_commit_does_not_win(
        self, house: Requested
    ) -> None:
        self.deploy(house, 5)
        house.report(-1)
        (own,) = house.own
        request = house.ask(5)
        house.settle()
        assert house.said(request) == ["success: 2 of 2 hosts at 0000000: web-001, web-002"]
        assert house.deployments.states(own) == ["success"]

    def test_deployment_of_another_commit_is_not_reported_on(self, house: Requested) -> None:
        request = house.ask(6)
        self.deploy(house, 5, deployment=request)
        house.report(-1)
        (own,) = house.own
        assert house.deployments.states(own) == ["success"]
        assert house.deployments.states(request) == []

    def test_same_commit_asked_for_again_is_sent_and_notified_again(self, house: Requested) -> None:
        first = house.ask(5)
        house.settle()
        second = house.ask(5)
        house.settle()
        assert house.sent() == [(5, str(first)), (5, str(second))]
        for one in (first, second):
            assert house.said(one) == ["success: 2 of 2 hosts at 0000000: web-001, web-002"]

    def test_same_process_notifies_each_request_of_a_commit_once(self, house: Requested) -> None:
        sync = house.sync()
        for count in (1, 2):
            house.ask(5)
            house.round()
            house.arrive()
            house.rest(1)
            for _ in range(2):
                house.report(-1, sync)
            assert len(house.topic.published) == count

    def deploy(self, house: Requested, number: int, deployment: int | None = None) -> None:
        """A person's `pulley deploy`, on both hosts."""
        target = parse_target("targets.web", target_of(trigger="deployment"))
        assert target.sent_update == "rebase-to"
        count = len(house.history.commands) + 1
        command = command_of(sha(number), count, checkout="/srv/web", deployment=deployment)
        roll_out = replace(
            command.roll_out, cause="manual", issued=int(house.now.timestamp() * 1000)
        )
        line = line_of(sha(number))
        hosts = [
            Invocation(id_, f"web-{id_[-3:]}", "Success", "Success", line, house.now)
            for id_ in ids(1, 2)
        ]
        sent = replace(command, roll_out=roll_out, requested=house.now)
        house.push(replace(sent, expires=house.now + timedelta(minutes=20)), *hosts)
        house.rest(1)


class TestReplaced:
    def test_earlier_request_is_inactive_once_the_next_one_is_everywhere(
        self, house: Requested
    ) -> None:
        first, second = self.serve(house, 5), self.serve(house, 6)
        assert house.said(first)[1:] == ["inactive: replaced by 0000000"]
        assert house.deployments.states(second) == ["success"]

    def test_requests_before_the_replaced_one_are_not_looked_at_again(
        self, house: Requested
    ) -> None:
        first, second = self.serve(house, 5), self.serve(house, 6)
        house.rest(180)  # or the round would sync them
        house.looked.ids.clear()
        self.serve(house, 7)
        assert second in house.looked.ids
        assert first not in house.looked.ids

    def test_two_requests_of_one_commit_are_both_replaced(self, house: Requested) -> None:
        first, second = self.serve(house, 5), self.serve(house, 5)
        self.serve(house, 6)
        for one in (first, second):
            assert house.deployments.states(one) == ["success", "inactive"]

    def test_request_and_older_deployment_of_pulley_are_both_replaced(
        self, house: Requested
    ) -> None:
        TestReport().deploy(house, 5)
        house.report(-1)
        (own,) = house.own
        request = self.serve(house, 5)
        self.serve(house, 6)
        assert house.deployments.states(own) == ["success", "inactive"]
        assert house.deployments.states(request) == ["success", "inactive"]

    def test_late_report_ends_the_earlier_request_although_its_commit_arrives_again_meanwhile(
        self, house: Requested
    ) -> None:
        first = self.serve(house, 5)
        between = house.ask(6)
        house.round()
        house.arrive()
        house.rest(1)
        again = house.ask(5)

        def arrive(method: str) -> None:
            if method == "newest":
                house.deployments.before = None
                TestReport().deploy(house, 5, deployment=again)

        house.deployments.before = arrive
        house.report(1)
        assert house.deployments.states(first) == ["success", "inactive"]
        house.deployments.before = None
        house.report(2)
        assert house.deployments.states(between) == ["success", "inactive"]
        assert house.deployments.states(again) == ["success"]

    def test_success_of_somebody_else_that_pulley_never_served_is_left_alone(
        self, house: Requested
    ) -> None:
        other = house.ask(4, "success")
        first = self.serve(house, 5)
        later = house.ask(4, "success")
        second = self.serve(house, 6)
        assert house.deployments.states(other) == ["success"]
        assert house.deployments.states(later) == ["success"]
        assert house.deployments.states(first)[-1] == "inactive"
        assert house.deployments.states(second)[-1] == "success"

    def test_failed_request_of_another_commit_is_left_as_it_is(self, house: Requested) -> None:
        first = house.ask(5)
        house.round()
        house.say(first, "failure")
        house.rest(1)
        self.serve(house, 6)
        assert house.deployments.states(first)[0] == "failure"
        assert "success" not in house.deployments.states(first)

    def test_request_that_stood_between_two_of_one_commit_ends_and_the_first_stays_ended(
        self, house: Requested
    ) -> None:
        first, between, again = (self.serve(house, number) for number in (5, 6, 5))
        expected = {
            first: ["success", "inactive"],
            between: ["success", "inactive"],
            again: ["success"],
        }
        assert {one: house.deployments.states(one) for one in expected} == expected
        for place in (0, 2, 1, 0, 1, 2):  # late and repeated events, in any order
            house.report(place)
        assert {one: house.deployments.states(one) for one in expected} == expected

    def serve(self, house: Requested, number: int) -> int:
        request = house.ask(number)
        house.settle()
        return request
