"""A round answers Auto Scaling for the instances that our hook holds."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.history import Command
from chalicelib.core.hosts import Host
from chalicelib.core.launches import Launch
from chalicelib.core.refs import CommitSha, InstanceId
from tests.fakes import COMMIT, NAMES, SITE, TOKEN, target_json, targets_text
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
        made.history.add(command_of(), on(1, line_of()), on(2, line_of()))
        made.round(only=SITE)
        assert (made.groups.answers, launches(made)) == ([], [])

    def test_commit_that_the_round_itself_releases_is_not_there_yet(self) -> None:
        made = house()
        window = ["Mon-Sun 00:00-24:00 UTC"]
        made.store(NAMES.targets(SITE), targets_text(target_json(window=window, recheck="20d")))
        made.history.commands.clear()
        made.reading.branches[SITE, "main"] = [CommitSha(COMMIT)]
        made.store(NAMES.repository_github_token(SITE), TOKEN)
        assert made.round(only=NEW).sent == 1
        assert made.groups.answers == []

    def test_target_of_which_no_commit_is_known_keeps_it_waiting(self) -> None:
        made = house()
        made.history.commands.clear()
        made.reading.heads.clear()
        made.round(only=NEW)
        assert (made.groups.answers, launches(made)) == ([], ["waiting"])

    def test_instance_gets_time_while_a_command_is_under_way(self) -> None:
        made = house()
        made.round(only=NEW)
        assert made.groups.asked_for_time == [LAUNCH]
        made.rest(1)
        made.round()
        assert made.groups.asked_for_time == [LAUNCH] * 2
        made = house(is_online=False)
        made.round(only=NEW)
        assert made.groups.asked_for_time == []

    def test_failed_launch_of_one_holds_no_commit_for_the_others(self) -> None:
        made = house()
        made.history.commands.clear()
        made.directory.known = [
            replace(made.directory.known[1], instance_id=id_of(number)) for number in (2, 3, 4)
        ]
        made.groups.held = dict.fromkeys(map(id_of, (2, 3, 4)), "fleet")
        made.store(NAMES.repository_github_token(SITE), TOKEN)
        made.round()
        (request,) = made.commands.sent
        assert request.max_errors == "100%"

    def test_instance_whose_steps_fail_is_abandoned_and_the_topic_is_told(self) -> None:
        made = house()
        made.round(only=NEW)
        made.rest(1)
        run_on_new(made, BROKEN, "Failed")
        made.round(only=NEW)
        assert made.groups.answers == []  # host 1 runs the commit: it is tried once more
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
        for _ in range(2):
            made.round(only=NEW)
            made.rest(1)
            run_on_new(made, BROKEN, "Failed")
        made.round(only=NEW)
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]
        (told,) = made.topic.published
        assert told.attributes["state"] == "continued"

    def test_remote_that_is_away_keeps_it_waiting_and_is_tried_again_every_minute(self) -> None:
        made = house()
        for number in range(1, 9):
            made.round(only=NEW)
            assert len(made.commands.sent) == number
            run_on_new(made, line_of(outcome="unreachable", after=None, upstream=None), "Failed")
            made.round(only=NEW)
            assert len(made.commands.sent) == number
            made.rest(1)
        assert made.groups.answers == []

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

    def test_refusal_says_what_the_group_may_lack(self) -> None:
        made = house()
        made.history.add(command_of(), on(1, line_of()), on(2, line_of()))
        made.groups.errors["complete"] = RefusedError("AWS refused completing a launch")
        made.round()
        (line,) = [one for one in made.journal.decisions if one.about == "launch"]
        assert "does the group fleet have the tag pulley = dev?" in str(line.facts["reason"])

    def test_hook_of_somebody_else_that_holds_it_is_not_answered_for(self) -> None:
        made = house()
        made.history.add(command_of(), on(1, line_of()), on(2, line_of()))
        made.groups.held_by_others.add(NEW)
        made.round()
        assert launches(made) == []

    def test_failed_publish_is_only_logged(self) -> None:
        made = house()
        for _ in range(2):
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
        made.history.add(command_of(), on(1, line_of()), on(2, line_of()))
        made.round()
        assert made.groups.calls == 0
        # But one of a warm pool may leave it when it is old: its event names it.
        made.round(only=NEW)
        assert made.groups.answers == [(LAUNCH, "CONTINUE")]

    def test_instance_for_which_nobody_waits_is_not_answered_for(self) -> None:
        made = house()
        made.groups.held.clear()
        made.round()
        assert (made.groups.calls, made.groups.answers, launches(made)) == (1, [], [])

    def test_round_of_one_host_answers_for_no_other_but_knows_that_it_is_held(self) -> None:
        made = house()
        made.history.add(command_of(), on(1, line_of()), on(2, line_of()))
        made.round(only=id_of(1))
        assert (made.groups.calls, made.groups.answers) == (1, [])

    def test_many_hosts_of_which_one_is_held_are_answered_for_alone(self) -> None:
        made = house()
        made.history.add(command_of(), on(1, line_of()), on(2, line_of()))
        made.round()
        assert [one.instance for one, _ in made.groups.answers] == [NEW]

    def test_wake_of_an_unknown_host_does_nothing(self) -> None:
        made = house()
        done = made.round(only=id_of(9))
        assert (done.targets, done.sent, made.groups.answers) == (0, 0, [])
