"""A round answers Auto Scaling for the instances that our hook holds."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Command
from chalicelib.core.hosts import Host
from chalicelib.core.launches import Launch
from chalicelib.core.refs import CommitSha, InstanceId
from tests.fakes import COMMIT, NAMES, SITE, target_json, targets_text
from tests.flows.runs import command_of, line_of, on
from tests.flows.test_reconcile import OTHER, TIP, House


def id_of(number: int) -> InstanceId:
    return InstanceId(f"i-{number:017x}")


NEW = id_of(2)
TAGS = {"pulley": "dev", "role": "web", "aws:autoscaling:groupName": "fleet"}
LAUNCH = Launch(NEW, "fleet")
BROKEN = line_of(outcome="broken", after=None, upstream=None, step="restart", detail="exit code 1")


def house(*, is_online: bool = True, minutes: float = 1) -> House:
    """A stage whose host 1 is at the commit, and whose host 2 is being launched."""
    made = House()
    made.reading.heads[SITE, "main"] = CommitSha(COMMIT)
    started = made.now - timedelta(minutes=minutes)
    made.directory.known = [
        Host(id_of(1), "web-1", {"pulley": "dev", "role": "web"}),
        Host(NEW, "web-2", TAGS, is_online=is_online, launched=started),
    ]
    made.groups.held[NEW] = "fleet"
    made.history.add(command_of(), on(1, line_of()))
    return made


def launches(of: House) -> list[str]:
    return [one.outcome for one in of.journal.decisions if one.about == "launch"]


def run_on_new(of: House, line: str, details: str = "Success") -> None:
    """Host 2 answers the newest command."""
    newest = max(of.history.commands.values(), key=lambda one: one.requested)
    over = replace(newest, status=details, details=details)
    of.history.add(over, on(2, line, details, ended=of.now))


class TestLaunch:
    def test_new_instance_gets_the_commit_and_is_answered_for_when_it_has_it(self) -> None:
        made = house()
        assert made.round(only=NEW).sent == 1
        assert (made.groups.answers, launches(made)) == ([], ["waiting"])
        made.rest(1)
        run_on_new(made, line_of())
        assert made.round(only=NEW).sent == 0
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]
        assert launches(made) == ["waiting", "continued"]
        made.round()
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]

    def test_round_of_the_schedule_answers_too(self) -> None:
        made = house()
        made.round()
        made.rest(1)
        run_on_new(made, line_of())
        made.round()
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]

    def test_round_that_a_repository_woke_answers_for_nobody(self) -> None:
        made = house()
        made.round(only=SITE)
        assert made.groups.calls == 0

    def test_instance_whose_steps_fail_is_abandoned_and_the_topic_is_told(self) -> None:
        made = house()
        made.round(only=NEW)
        made.rest(1)
        run_on_new(made, BROKEN, "Failed")
        made.round(only=NEW)
        assert made.groups.answers == [(LAUNCH, "ABANDON")]
        assert launches(made)[-1] == "abandoned"
        (told,) = made.topic.published
        assert told.subject == "web-2: launch abandoned, web: broken: restart: exit code 1"
        assert told.attributes == {"state": "abandoned", "group": "fleet"}

    def test_target_may_let_it_continue(self) -> None:
        made = house()
        made.store(NAMES.targets(SITE), targets_text(target_json(launch="continue", recheck="20d")))
        made.round(only=NEW)
        made.rest(1)
        run_on_new(made, BROKEN, "Failed")
        made.round(only=NEW)
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]
        (told,) = made.topic.published
        assert told.attributes["state"] == "continued"

    def test_remote_that_is_away_keeps_it_waiting(self) -> None:
        made = house()
        made.round(only=NEW)
        made.rest(1)
        run_on_new(made, line_of(outcome="unreachable", after=None, upstream=None), "Failed")
        made.round(only=NEW)
        assert made.groups.answers == []
        made.rest(60)
        made.round()
        assert len(made.commands.sent) == 2

    def test_instance_is_answered_for_when_all_its_targets_are_there(self) -> None:
        made = house()
        other = target_json("api", repository="octo/other", checkout="/srv/api", recheck="20d")
        made.store(NAMES.targets(OTHER), targets_text(other))
        before = command_of(TIP, 2, target="api", repository=OTHER, checkout="/srv/api")
        made.history.add(before, on(1, line_of(TIP, target="api")))
        done = made.round(only=NEW)
        assert (done.targets, done.sent) == (2, 2)
        made.rest(1)
        for target, commit in (("web", COMMIT), ("api", TIP)):
            assert made.groups.answers == []
            commands = [one for one in made.history.commands.values() if isinstance(one, Command)]
            (sent,) = (
                one for one in commands if one.roll_out.target == target and one.roll_out.attempt
            )
            said = on(2, line_of(commit, target=target), ended=made.now)
            made.history.add(replace(sent, status="Success", details="Success"), said)
            made.round(only=NEW)
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]


class TestFrozen:
    def test_new_instance_gets_what_its_peers_run_and_the_others_get_nothing(self) -> None:
        made = house()
        made.store(NAMES.pin("web"), json.dumps({"state": "frozen"}))
        made.reading.heads[SITE, "main"] = CommitSha(TIP)
        made.round(only=NEW)
        (request,) = made.commands.sent
        assert dict(request.selectors)["InstanceIds"] == (NEW,)
        assert (request.parameters["Commit"], request.parameters["Update"]) == (COMMIT, "exact")
        made.rest(1)
        run_on_new(made, line_of())
        made.round(only=NEW)
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]
        made.round()
        assert len(made.commands.sent) == 1


class TestWhatIsNotKnown:
    def test_target_that_cannot_be_read_keeps_its_hosts_waiting(self) -> None:
        made = house()
        made.store(NAMES.pin("web"), "nonsense")
        made.round()
        assert (made.groups.answers, launches(made)) == ([], [])

    def test_round_cut_short_answers_only_for_hosts_whose_targets_it_has_read(self) -> None:
        made = house()
        made.store(
            NAMES.targets(SITE),
            targets_text(target_json(), target_json("zoo", instances={"tags": {"role": "zoo"}})),
        )
        made.history.add(command_of(), on(1, line_of()), on(2, line_of()))
        left = iter([900.0, *[0.0] * 9])
        assert not made.round(seconds_left=lambda: next(left)).is_whole
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]
        made = house()
        left = iter([0.0] * 9)
        made.round(seconds_left=lambda: next(left))
        assert made.groups.answers == []

    def test_host_without_a_target_waits_while_some_targets_cannot_be_read(self) -> None:
        made = house()
        made.store(NAMES.targets(SITE), targets_text(target_json(instances={"ids": [id_of(1)]})))
        made.store(NAMES.targets(OTHER), "nonsense")
        made.round()
        assert made.groups.answers == []
        del made.parameters.values[NAMES.targets(OTHER)]
        made.round()
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]

    @pytest.mark.parametrize("method", ["waiting", "complete"])
    def test_error_of_auto_scaling_is_logged_and_the_next_round_tries_again(
        self, method: str
    ) -> None:
        made = house()
        made.history.add(command_of(), on(1, line_of()), on(2, line_of()))
        made.groups.errors[method] = UnavailableError("Auto Scaling is too busy")
        made.round()
        assert launches(made) == ["failed"]
        made.groups.errors.clear()
        made.round()
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]

    def test_failed_publish_is_only_logged(self) -> None:
        made = house()
        made.round(only=NEW)
        made.rest(1)
        run_on_new(made, BROKEN, "Failed")
        made.topic.error = UnavailableError("SNS is too busy")
        made.round(only=NEW)
        assert launches(made)[-1] == "abandoned"
        failed = [one for one in made.journal.decisions if one.about == "notification"]
        assert [one.outcome for one in failed] == ["failed"]


class TestWhoIsAsked:
    def test_hosts_that_cannot_be_held_cost_no_call(self) -> None:
        made = house(minutes=48 * 60 + 1)
        made.round()
        assert made.groups.calls == 0

    def test_instance_for_which_nobody_waits_is_not_answered_for(self) -> None:
        made = house()
        made.groups.held.clear()
        made.round()
        assert (made.groups.calls, made.groups.answers, launches(made)) == (1, [], [])

    def test_wake_of_one_host_asks_for_no_other(self) -> None:
        made = house()
        made.round(only=id_of(1))
        assert made.groups.calls == 0

    def test_wake_of_an_unknown_host_does_nothing(self) -> None:
        made = house()
        done = made.round(only=id_of(9))
        assert (done.targets, done.sent, made.groups.calls) == (0, 0, 0)
