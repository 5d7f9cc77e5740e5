from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.history import Command, Invocation
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_target
from pulley.operator.deploy.failed_commits import failure_words, failures_everywhere
from tests.fakes import COMMIT, target_json
from tests.flows.runs import NOW, OLD, command_of, line_of, on, rolled_back, running

TARGET = parse_target("targets.web", target_json())
BAD = CommitSha(COMMIT)


def failures(
    *runs: Sequence[Invocation], commands: Sequence[Command] = ()
) -> list[tuple[str, str]]:
    """Failures of the commit, which was sent once for each run, oldest first."""
    sent = commands or [command_of(number=number) for number in range(1, len(runs) + 1)]
    by_id: Mapping[str, Sequence[Invocation]] = {
        one.id: run for one, run in zip(sent, runs, strict=True)
    }
    found = failures_everywhere(TARGET, BAD, sent, by_id.__getitem__)
    return [(one.host, one.words) for one in found]


FAILED = "rolled back: health check: answered 500"


class TestFailuresEverywhere:
    def test_commit_that_no_host_accepted_failed_everywhere(self) -> None:
        run = [on(2, rolled_back(COMMIT)), on(1, rolled_back(COMMIT))]
        assert failures(run) == [("web-1", FAILED), ("web-2", FAILED)]

    def test_commit_that_one_host_accepted_did_not_fail_everywhere(self) -> None:
        taken = [on(1, line_of())]
        assert failures([on(1, rolled_back(COMMIT)), *[on(2, line_of())]]) == []
        assert failures(taken, [on(1, rolled_back(COMMIT))]) == []
        assert failures([on(1, rolled_back(COMMIT))], taken) == []

    def test_newest_failure_of_a_host_is_returned(self) -> None:
        conflict = line_of(outcome="conflict", after=OLD, detail="settings.ini")
        said = failures([on(1, rolled_back(COMMIT))], [on(1, conflict)])
        assert said == [("web-1", "conflict: settings.ini")]

    @pytest.mark.parametrize(
        "invocation",
        [
            running(1),
            on(1, details="DeliveryTimedOut"),
            on(1, details="Terminated"),
            on(1, details="AccessDenied"),
            on(1, details="Cancelled"),
            on(1, line_of(outcome="unreachable", after=OLD, upstream=None)),
            on(1, line_of(outcome="no_checkout", after=None, upstream=None)),
            on(1, line_of(outcome="superseded", after=OLD, upstream=OLD)),
        ],
    )
    def test_invocation_without_a_verdict_on_the_commit_is_no_failure(
        self, invocation: Invocation
    ) -> None:
        assert failures([invocation]) == []
        assert failures([invocation, on(2, rolled_back(COMMIT))]) == [("web-2", FAILED)]

    def test_script_stopped_at_its_time_limit_is_a_failure(self) -> None:
        said = failures([on(1, details="ExecutionTimedOut")])
        assert said == [("web-1", "stopped at its limit of 600 s")]

    def test_other_commits_and_other_targets_do_not_count(self) -> None:
        others = [command_of(OLD), command_of(number=2, target="api")]
        run = [on(1, rolled_back(COMMIT))]
        assert failures(run, run, commands=others) == []

    def test_commit_that_was_never_sent_has_no_failures(self) -> None:
        assert failures() == []


class TestFailureWords:
    def found(self, count: int) -> str:
        run = [on(number, rolled_back(COMMIT), ended=NOW) for number in range(1, count + 1)]
        return failure_words(BAD, failures_everywhere(TARGET, BAD, [command_of()], lambda _: run))

    def test_words_have_the_host_the_time_and_the_cause(self) -> None:
        assert self.found(1) == (
            "4d5e6f7 failed on every host that it was tried on (web-1, 2030-01-01 08:01 UTC: "
            f"{FAILED})"
        )

    def test_only_three_of_many_hosts_are_named(self) -> None:
        assert self.found(5).endswith(f"web-3, 2030-01-01 08:01 UTC: {FAILED}; and 2 more)")

    def test_failure_without_a_known_end_has_the_time_of_its_request(self) -> None:
        command = command_of()
        sent = [replace(command, requested=command.requested + timedelta(hours=1))]
        run = [on(1, details="ExecutionTimedOut")]
        (failure,) = failures_everywhere(TARGET, BAD, sent, lambda _: run)
        assert failure.at == sent[0].requested
