"""Verdicts: success needs the host's own result; order and repetition of runs change nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.history import Invocation, RollOut, Run
from chalicelib.core.observations import (
    AT,
    CANCELLED,
    FAILED,
    NOT_BEGUN,
    OFFLINE,
    OVERTAKEN,
    RUNNING,
    WAITING,
    HostVerdict,
    failure_words,
    is_quiet,
    judge_host,
)
from chalicelib.core.refs import CommitSha
from chalicelib.core.results import HostResult, parse_result
from chalicelib.core.verdicts import Verdict, judge
from tests.facts import OLD, ROLL_OUT, invocation, sent
from tests.facts import result_line as line_of
from tests.fakes import COMMIT

NEW = "b" * 40
REQUESTED = datetime(2030, 1, 1, 8, 0, tzinfo=UTC)
EXPIRES = REQUESTED + timedelta(minutes=20)
NOW = REQUESTED + timedelta(minutes=1)
ENDED = REQUESTED + timedelta(seconds=30)

UPDATED = line_of()
CONFLICT = line_of(outcome="conflict", after=OLD, detail="conflict in app.py")


def on(number: int, details: str = "Success", output: str = "") -> Invocation:
    return invocation(number, details, output, ENDED)


def run_of(
    *invocations: Invocation,
    number: int = 1,
    status: str = "Success",
    details: str = "",
    count: int | None = None,
    commit: str = COMMIT,
    attempt: int = 0,
    saved: str = "keep",
) -> Run:
    """The command of this number, each a minute after the previous command.

    A command with an attempt is from a round, for some of the target's hosts.
    """
    later = timedelta(minutes=number - 1)
    roll_out = replace(
        ROLL_OUT,
        issued=ROLL_OUT.issued + number * 60_000,
        commit=CommitSha(commit),
        attempt=attempt,
        cause="reconcile" if attempt else ROLL_OUT.cause,
        saved=saved,
    )
    command = sent(
        f"command-{number}",
        roll_out,
        REQUESTED + later,
        status=status,
        details=details,
        count=len(invocations) if count is None else count,
    )
    return Run(command, invocations)


def kinds_of(verdict: Verdict) -> dict[str, str]:
    return {host.host: host.kind for host in verdict.hosts}


def judged(output: str, details: str = "Success") -> HostVerdict:
    return judge_host(on(1, details, output), ROLL_OUT)


class TestRunIsSettled:
    def test_ended_command_with_every_host_s_result_is_settled(self) -> None:
        assert run_of(on(1, output=UPDATED), on(2, "Failed", CONFLICT)).is_settled

    def test_command_that_matched_no_host_is_settled(self) -> None:
        assert run_of(details="NoInstancesInTag").is_settled

    def test_command_in_progress_is_not_settled(self) -> None:
        assert not run_of(on(1, output=UPDATED), status="InProgress").is_settled

    def test_ended_command_with_unlisted_invocations_is_not_settled(self) -> None:
        assert not run_of(on(1, output=UPDATED), count=2).is_settled

    def test_ended_command_with_an_invocation_in_progress_is_not_settled(self) -> None:
        assert not run_of(on(1, output=UPDATED), on(2, "InProgress")).is_settled


class TestJudgeHost:
    def test_host_that_was_updated_is_at_the_commit(self) -> None:
        assert judged(UPDATED) == HostVerdict(
            "web-1", AT, updated=True, ended=ENDED, upstream=COMMIT
        )

    def test_unchanged_host_is_at_the_commit(self) -> None:
        assert judged(line_of(outcome="unchanged")) == HostVerdict(
            "web-1", AT, ended=ENDED, upstream=COMMIT
        )

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"local_commits": 1, "after": NEW}, "1 local commit on top"),
            ({"steps_not_needed": True}, "steps not needed"),
            ({"local_commits": 2, "after": NEW}, "2 local commits on top"),
            ({"saved": "refs/pulley/saved/1"}, "kept refs/pulley/saved/1"),
            (
                {"local_commits": 3, "saved": "refs/pulley/saved/1"},
                "3 local commits on top, kept refs/pulley/saved/1",
            ),
        ],
    )
    def test_host_at_the_commit_names_its_local_commits_and_saved_ref(
        self, changes: dict[str, object], words: str
    ) -> None:
        assert judged(line_of(**changes)) == HostVerdict(
            "web-1", AT, words, updated=True, ended=ENDED, upstream=COMMIT
        )

    def test_host_at_a_newer_tip_is_overtaken(self) -> None:
        told = judged(line_of(upstream=NEW, after=NEW))
        assert told == HostVerdict("web-1", OVERTAKEN, "bbbbbbb", ended=ENDED, upstream=NEW)

    def test_superseded_host_is_overtaken_by_the_commit_that_it_runs(self) -> None:
        told = judged(line_of(outcome="superseded", upstream=NEW, after=NEW))
        assert (told.kind, told.words, told.upstream) == (OVERTAKEN, "bbbbbbb", NEW)
        assert told.is_superseded

    @pytest.mark.parametrize("upstream", [None, COMMIT])
    def test_superseded_host_names_no_commit_if_its_upstream_is_missing_or_the_same(
        self, upstream: str | None
    ) -> None:
        told = judged(line_of(outcome="superseded", upstream=upstream))
        assert (told.kind, told.words, told.upstream) == (OVERTAKEN, "", upstream or "")

    def test_rolled_back_host_is_back_at_its_earlier_commit(self) -> None:
        told = judged(line_of(outcome="rolled_back", after=OLD, step="health_check"), "Failed")
        assert (told.kind, told.back_at, told.upstream) == (FAILED, OLD[:7], "")

    @pytest.mark.parametrize(
        "changes",
        [
            {"outcome": "rolled_back", "local_commits": 1},
            {"outcome": "rolled_back", "after": None},
            {"outcome": "conflict"},
            {"outcome": "broken"},
        ],
    )
    def test_back_at_is_empty_for_a_commit_unknown_to_github_or_without_a_roll_back(
        self, changes: dict[str, object]
    ) -> None:
        told = judged(line_of(**({"after": OLD} | changes)), "Failed")
        assert (told.kind, told.back_at, told.upstream) == (FAILED, "", "")

    @pytest.mark.parametrize(
        "outcome",
        [
            "bad_parameter",
            "no_checkout",
            "unreachable",
            "conflict",
            "missing_commit",
            "rolled_back",
            "broken",
            "busy",
            "a_new_one",
            "",
        ],
    )
    @pytest.mark.parametrize("details", ["Success", "Failed"])
    def test_any_other_outcome_is_a_failure_even_with_status_success(
        self, outcome: str, details: str
    ) -> None:
        told = judged(line_of(outcome=outcome, detail="why"), details)
        assert told.kind == FAILED
        assert told.words.endswith("why")
        assert told.ended == ENDED

    @pytest.mark.parametrize("outcome", ["missing_commit", "conflict", "broken", "unreachable"])
    def test_failure_without_a_roll_back_counts_although_the_upstream_differs(
        self, outcome: str
    ) -> None:
        told = judged(line_of(outcome=outcome, upstream=OLD), "Failed")
        assert (told.kind, told.is_superseded) == (FAILED, False)

    @pytest.mark.parametrize(
        ("outcome", "passes"),
        [
            ("busy", True),
            ("unreachable", True),
            ("missing_commit", False),
            ("no_checkout", False),
            ("rolled_back", False),
        ],
    )
    def test_only_a_busy_lock_or_an_unreachable_remote_may_pass(
        self, outcome: str, *, passes: bool
    ) -> None:
        assert judged(line_of(outcome=outcome), "Failed").may_pass == passes

    def test_updated_host_is_at_the_commit_with_any_status(self) -> None:
        for details in ("Failed", "ExecutionTimedOut", "Cancelled"):
            assert judged(UPDATED, details).kind == AT

    @pytest.mark.parametrize(
        ("details", "kind"),
        [
            ("Pending", WAITING),
            ("Delayed", WAITING),
            ("InProgress", RUNNING),
            ("Cancelling", RUNNING),
        ],
    )
    def test_host_without_an_end_is_waiting_or_running(self, details: str, kind: str) -> None:
        assert judged("", details) == HostVerdict("web-1", kind)

    def test_output_of_a_running_host_is_ignored(self) -> None:
        assert judged(UPDATED, "InProgress") == HostVerdict("web-1", RUNNING)

    @pytest.mark.parametrize(
        ("status", "details", "kind", "words"),
        [
            ("TimedOut", "DeliveryTimedOut", OFFLINE, ""),
            ("TimedOut", "Delivery Timed Out", OFFLINE, ""),
            ("timed out", "DELIVERY TIMED OUT", OFFLINE, ""),
            ("Failed", "Undeliverable", OFFLINE, ""),
            ("Cancelled", "Terminated", NOT_BEGUN, ""),
            ("Cancelled", "Cancelled", CANCELLED, ""),
            ("Failed", "AccessDenied", FAILED, "Systems Manager may not run commands on it"),
            ("Failed", "Access Denied", FAILED, "Systems Manager may not run commands on it"),
            ("Failed", "InvalidPlatform", FAILED, "it does not run Linux"),
            ("Failed", "RateExceeded", FAILED, "Systems Manager's limits were reached"),
            ("Failed", "Rate Limited", FAILED, "Systems Manager's limits were reached"),
            ("Failed", "LimitExceeded", FAILED, "it has too many commands under way"),
            ("TimedOut", "ExecutionTimedOut", FAILED, "stopped at its limit of 600 s"),
            ("Timed Out", "Execution Timed Out", FAILED, "stopped at its limit of 600 s"),
            ("Failed", "Failed", FAILED, "no result line in the host's output"),
            ("Success", "Success", FAILED, "no result line in the host's output"),
            ("Failed", "A New Detail", FAILED, "no result line in the host's output"),
        ],
    )
    def test_host_without_a_result_is_judged_by_its_status(
        self, status: str, details: str, kind: str, words: str
    ) -> None:
        invocation = Invocation("i-01234567", "web-1", status, details)
        assert judge_host(invocation, ROLL_OUT) == HostVerdict("web-1", kind, words)

    def test_host_whose_agent_refused_the_document_failed_and_touched_nothing(self) -> None:
        refused = replace(on(1, "Failed"), is_refused=True, trace="Branch is missing")
        words = "its SSM agent refused the document: Branch is missing"
        assert judge_host(refused, ROLL_OUT) == HostVerdict(
            "web-1", FAILED, words, touched_nothing=True
        )

    def test_host_whose_agent_lost_the_script_failed_and_may_have_moved(self) -> None:
        lost = judged("document process failed unexpectedly: document worker timed out", "Failed")
        assert lost == HostVerdict("web-1", FAILED, "no result line in the host's output")
        assert not lost.touched_nothing

    def test_host_whose_script_was_killed_is_cancelled_while_it_ran(self) -> None:
        killed = Invocation("i-01234567", "web-1", "Cancelled", "Cancelled", "", ENDED)
        assert judge_host(killed, ROLL_OUT) == HostVerdict("web-1", CANCELLED, "while it ran")

    def test_result_followed_by_other_output_is_read(self) -> None:
        assert judged(UPDATED + "\n----------ERROR-------\nnpm WARN {}").kind == AT

    @pytest.mark.parametrize(
        ("output", "words"),
        [
            (UPDATED[:100], "no result line in the host's output"),
            (UPDATED[:-20] + "\n--output truncated--", "no result line in the host's output"),
            ("Segmentation fault", "no result line in the host's output"),
            ("motd\n" + UPDATED, "no result line in the host's output"),
            ("[" * 10_000, "no result line in the host's output"),
            ("\ud800\x00", "no result line in the host's output"),
            (line_of(v=2), "a result line of a version not known here: 2"),
            (line_of(target="api"), "its result is of another target"),
            (line_of(target=""), "its result is of another target"),
            (line_of(detail=None), "detail in the result line is None"),
        ],
    )
    def test_host_without_a_valid_result_of_this_target_has_failed(
        self, output: str, words: str
    ) -> None:
        told = judged(output)
        assert (told.kind, told.words, told.upstream) == (FAILED, words, "")

    @given(st.text() | st.text().map(lambda text: line_of(detail=text, outcome="conflict")))
    def test_hostile_output_is_a_failure(self, output: str) -> None:
        assert judged(output).kind == FAILED


class TestFailureWords:
    def words(self, **changes: object) -> str:
        return failure_words(parse_result(line_of(**changes)))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"outcome": "busy"}, "busy"),
            (
                {"outcome": "no_checkout", "detail": "git is not installed"},
                "no checkout: git is not installed",
            ),
            ({"outcome": "conflict", "detail": "conflict in app.py"}, "conflict in app.py"),
            (
                {
                    "outcome": "rolled_back",
                    "after": OLD,
                    "step": "health_check",
                    "detail": "no answer",
                    "attempt": 1,
                },
                "rolled back: health check: no answer",
            ),
            (
                {
                    "outcome": "rolled_back",
                    "after": OLD,
                    "step": "health_check",
                    "detail": "no answer",
                    "attempt": 2,
                },
                "rolled back: health check: no answer (attempt 2)",
            ),
            (
                {"outcome": "rolled_back", "after": None, "step": "restart", "detail": "it failed"},
                "rolled back: restart: it failed",
            ),
            (
                {"outcome": "rolled_back", "after": OLD, "step": "after_pull"},
                "rolled back: after pull",
            ),
            (
                {"outcome": "broken", "step": "after_pull", "detail": "exit code 1: oh"},
                "broken: after pull: exit code 1: oh",
            ),
        ],
    )
    def test_words_have_the_outcome_the_step_and_the_detail_once_each(
        self, changes: dict[str, object], words: str
    ) -> None:
        assert self.words(**changes) == words

    @given(st.text(), st.none() | st.text(), st.text(min_size=1), st.none() | st.text())
    def test_words_always_contain_the_detail(
        self, outcome: str, step: str | None, detail: str, after: str | None
    ) -> None:
        result = HostResult("web", outcome, None, after, None, 0, None, step, detail, 1)
        assert detail in failure_words(result)


class TestVerdict:
    HOSTS = (HostVerdict("a", AT), HostVerdict("b", FAILED, "why"), HostVerdict("c", AT))
    VERDICT = Verdict(
        command_id="command-1",
        roll_out=ROLL_OUT,
        hosts=HOSTS,
        is_final=True,
        expected_hosts=3,
        was_cancelled=False,
    )

    def test_hosts_are_counted_and_selected_by_kind(self) -> None:
        assert self.VERDICT.count(AT) == 2
        assert self.VERDICT.count(AT, FAILED) == 3
        assert self.VERDICT.count(OFFLINE) == self.VERDICT.count() == 0
        assert self.VERDICT.of(AT) == (self.HOSTS[0], self.HOSTS[2])
        assert self.VERDICT.of(FAILED, OFFLINE) == (self.HOSTS[1],)

    @pytest.mark.parametrize(
        ("kinds", "expected"), [([AT], 1), ([AT, AT], 2), ([AT, OFFLINE, OFFLINE], 3)]
    )
    def test_commit_is_everywhere_if_all_reached_hosts_are_at_it(
        self, kinds: list[str], expected: int
    ) -> None:
        assert self.of_kinds(kinds, expected).is_everywhere

    @pytest.mark.parametrize(
        ("kinds", "expected"),
        [
            ([], 0),
            ([OFFLINE], 1),
            ([AT], 2),
            *(([AT, kind], 2) for kind in (FAILED, OVERTAKEN, NOT_BEGUN, CANCELLED, RUNNING)),
        ],
    )
    def test_commit_is_not_everywhere_if_any_reached_host_is_not_at_it(
        self, kinds: list[str], expected: int
    ) -> None:
        assert not self.of_kinds(kinds, expected).is_everywhere

    def test_commit_is_not_everywhere_before_the_verdict_is_final(self) -> None:
        assert not replace(self.of_kinds([AT], 1), is_final=False).is_everywhere

    def of_kinds(self, kinds: Sequence[str], expected: int) -> Verdict:
        hosts = tuple(HostVerdict(f"web-{index}", kind) for index, kind in enumerate(kinds))
        return replace(self.VERDICT, hosts=hosts, expected_hosts=expected)


class TestJudge:
    def test_all_hosts_at_the_commit_give_a_final_verdict(self) -> None:
        run = run_of(on(2, output=UPDATED), on(1, output=UPDATED))
        verdict = judge([run], now=NOW)
        assert verdict == Verdict(
            command_id="command-1",
            roll_out=run.roll_out,
            hosts=(
                HostVerdict("web-1", AT, updated=True, ended=ENDED, upstream=COMMIT),
                HostVerdict("web-2", AT, updated=True, ended=ENDED, upstream=COMMIT),
            ),
            is_final=True,
            expected_hosts=2,
            was_cancelled=False,
        )
        assert verdict.is_everywhere

    def test_each_host_is_judged_by_its_own_invocation(self) -> None:
        run = run_of(
            on(1, output=UPDATED),
            on(2, "Failed", CONFLICT),
            on(3, "Terminated"),
            on(4, "Undeliverable"),
            on(5, "Cancelled"),
            on(6, "ExecutionTimedOut"),
            on(7, output=line_of(upstream=NEW)),
            status="Failed",
        )
        verdict = judge([run], now=NOW)
        assert kinds_of(verdict) == {
            "web-1": AT,
            "web-2": FAILED,
            "web-3": NOT_BEGUN,
            "web-4": OFFLINE,
            "web-5": CANCELLED,
            "web-6": FAILED,
            "web-7": OVERTAKEN,
        }
        assert verdict.is_final
        assert not verdict.is_everywhere

    def test_command_under_way_is_not_final(self) -> None:
        run = run_of(on(1, output=UPDATED), on(2, "InProgress"), status="InProgress", count=3)
        verdict = judge([run], now=NOW)
        assert kinds_of(verdict) == {"web-1": AT, "web-2": RUNNING}
        assert not verdict.is_final
        assert verdict.expected_hosts == 3

    def test_ended_command_without_all_hosts_ended_is_not_final(self) -> None:
        assert not judge([run_of(on(1, output=UPDATED), count=2)], now=NOW).is_final
        assert not judge([run_of(on(1, "InProgress"))], now=NOW).is_final

    def test_command_that_matched_no_host_is_final_and_not_everywhere(self) -> None:
        verdict = judge([run_of(details="NoInstancesInTag")], now=NOW)
        assert (verdict.hosts, verdict.expected_hosts) == ((), 0)
        assert verdict.is_final
        assert not verdict.is_everywhere

    def test_verdict_is_cancelled_only_if_the_newest_command_was_cancelled(self) -> None:
        run = run_of(on(1, output=UPDATED), on(2, "Cancelled"), status="Cancelled")
        assert judge([run], now=NOW).was_cancelled
        again = run_of(on(2, output=UPDATED), number=2)
        assert not judge([run, again], now=NOW).was_cancelled

    def test_expired_command_is_final_and_its_running_hosts_have_failed(self) -> None:
        run = run_of(on(1, output=UPDATED), on(2, "InProgress"), status="InProgress", count=3)
        assert not judge([run], now=EXPIRES).is_final
        verdict = judge([run], now=EXPIRES + timedelta(seconds=1))
        assert verdict.is_final
        assert verdict.hosts[1] == HostVerdict("web-2", FAILED, "no answer in time")
        assert kinds_of(verdict) == {"web-1": AT, "web-2": FAILED}
        assert not verdict.is_everywhere

    def test_host_still_pending_when_the_command_expires_has_failed(self) -> None:
        run = run_of(on(1, output=UPDATED), on(2, "Pending"), status="InProgress")
        assert not judge([run], now=EXPIRES).is_final
        verdict = judge([run], now=EXPIRES + timedelta(seconds=1))
        assert verdict.is_final
        assert verdict.hosts[1] == HostVerdict("web-2", FAILED, "no answer in time")

    def test_cancelled_command_with_a_silent_host_is_final_after_it_expires(self) -> None:
        run = run_of(on(1, output=UPDATED), on(2, "Cancelling"), status="Cancelling")
        assert not judge([run], now=EXPIRES).is_final
        verdict = judge([run], now=EXPIRES + timedelta(seconds=1))
        assert (verdict.is_final, verdict.was_cancelled) == (True, True)
        assert kinds_of(verdict) == {"web-1": AT, "web-2": FAILED}

    def test_expired_command_does_not_end_a_newer_command_in_progress(self) -> None:
        first = run_of(on(1, "InProgress"), status="InProgress")
        second = run_of(on(2, "InProgress"), number=2, status="InProgress")
        verdict = judge([first, second], now=EXPIRES + timedelta(seconds=1))
        assert not verdict.is_final
        assert kinds_of(verdict) == {"web-1": RUNNING, "web-2": RUNNING}

    def test_redelivery_is_judged_by_each_host_s_newest_result(self) -> None:
        first = run_of(on(1, output=UPDATED), on(2, "Failed", CONFLICT), status="Failed")
        second = run_of(on(1, output=line_of(outcome="unchanged")), on(2, output=UPDATED), number=2)
        verdict = judge([first, second], now=NOW)
        assert verdict.is_everywhere
        assert (verdict.command_id, verdict.roll_out) == ("command-2", second.roll_out)
        assert [host.updated for host in verdict.hosts] == [False, True]

    def test_host_reached_by_a_later_round_counts_with_the_earlier_hosts(self) -> None:
        first = run_of(on(1, output=UPDATED), on(2, "Undeliverable"))
        second = run_of(on(2, output=UPDATED), number=2, attempt=1)
        verdict = judge([first, second], now=NOW)
        assert kinds_of(verdict) == {"web-1": AT, "web-2": AT}
        assert verdict.expected_hosts == 2

    def test_host_missing_from_a_later_roll_out_no_longer_counts(self) -> None:
        first = run_of(on(1, output=UPDATED), on(2, "Failed", CONFLICT), status="Failed")
        second = run_of(on(1, output=UPDATED), on(3, output=UPDATED), number=2)
        assert kinds_of(judge([first, second], now=NOW)) == {"web-1": AT, "web-3": AT}

    def test_host_still_counts_while_the_later_roll_out_is_not_fully_listed(self) -> None:
        first = run_of(on(1, output=UPDATED), on(2, output=UPDATED))
        second = run_of(on(1, "InProgress"), number=2, status="InProgress", count=2)
        assert kinds_of(judge([first, second], now=NOW)).keys() == {"web-1", "web-2"}

    def test_host_that_fails_at_a_redelivery_has_failed_despite_its_earlier_success(self) -> None:
        first = run_of(on(1, output=UPDATED))
        second = run_of(on(1, "Failed", CONFLICT), number=2, status="Failed")
        assert kinds_of(judge([first, second], now=NOW)) == {"web-1": FAILED}

    @pytest.mark.parametrize("details", ["Undeliverable", "DeliveryTimedOut", "Terminated"])
    @pytest.mark.parametrize(
        ("earlier", "kind"),
        [
            (UPDATED, AT),
            (line_of(outcome="superseded", upstream=NEW), OVERTAKEN),
            (CONFLICT, FAILED),
            ("", FAILED),
        ],
    )
    def test_undelivered_run_does_not_hide_an_earlier_result(
        self, details: str, earlier: str, kind: str
    ) -> None:
        first, second = run_of(on(1, output=earlier)), run_of(on(1, details), number=2)
        assert kinds_of(judge([first, second], now=NOW)) == {"web-1": kind}

    def test_newest_undelivered_run_counts_if_no_run_began(self) -> None:
        first = run_of(on(1, "Terminated"), status="Failed")
        second = run_of(on(1, "Undeliverable"), number=2)
        assert kinds_of(judge([first, second], now=NOW)) == {"web-1": OFFLINE}

    def test_redelivery_in_progress_makes_the_verdict_not_final(self) -> None:
        first = run_of(on(1, output=UPDATED))
        second = run_of(on(1, "Pending"), number=2, status="Pending")
        verdict = judge([first, second], now=NOW)
        assert not verdict.is_final
        assert kinds_of(verdict) == {"web-1": WAITING}

    def test_older_run_in_progress_on_another_host_makes_the_verdict_not_final(self) -> None:
        first = run_of(on(1, "InProgress"), status="InProgress")
        second = run_of(on(2, output=UPDATED), number=2, attempt=1)
        assert not judge([first, second], now=NOW).is_final

    def test_hosts_with_the_same_name_are_judged_separately(self) -> None:
        one = replace(on(1, output=UPDATED), host="localhost")
        other = replace(on(2, "Failed", CONFLICT), host="localhost")
        verdict = judge([run_of(other, one)], now=NOW)
        assert [host.kind for host in verdict.hosts] == [AT, FAILED]
        assert verdict == judge([run_of(one, other)], now=NOW)

    @given(st.data())
    def test_same_history_in_any_order_gives_the_same_verdict(self, data: st.DataObject) -> None:
        outcomes = st.sampled_from(
            [
                ("Success", UPDATED),
                ("Success", line_of(outcome="superseded", upstream=NEW)),
                ("Failed", CONFLICT),
                ("Undeliverable", ""),
                ("Terminated", ""),
                ("Cancelled", ""),
                ("InProgress", ""),
            ]
        )
        runs = []
        for number in range(1, data.draw(st.integers(2, 4)) + 1):
            told = data.draw(st.dictionaries(st.integers(1, 4), outcomes))
            hosts = [
                # Names may be the same.
                replace(on(host, *what), host=f"web-{host % 2}")
                for host, what in told.items()
            ]
            run = run_of(*hosts, number=number, status=data.draw(st.sampled_from(STATUSES_OVER)))
            if data.draw(st.booleans()):  # sent in the same moment as the first
                moment = replace(run.roll_out, issued=ROLL_OUT.issued)
                command = replace(run.command, requested=REQUESTED, roll_out=moment)
                run = Run(command, run.invocations)
            runs.append(run)
        now = data.draw(st.sampled_from([NOW, EXPIRES + timedelta(days=1)]))
        shuffled = [
            replace(run, invocations=tuple(data.draw(st.permutations(run.invocations))))
            for run in data.draw(st.permutations(runs))
        ]
        assert judge(shuffled, now=now) == judge(runs, now=now)
        assert judge([*runs, *shuffled], now=now) == judge(runs, now=now), "repeated"


STATUSES_OVER = ["Success", "Failed", "Cancelled", "InProgress"]


class TestBackAt:
    @pytest.mark.parametrize(
        ("changes", "back_at"),
        [
            ({}, "aaaaaaa"),
            ({"local_commits": 1}, ""),  # a local commit: GitHub does not know it
            ({"after": None}, ""),
            ({"outcome": "broken"}, ""),
            ({"upstream": None}, "aaaaaaa"),
            ({"after": "HEAD; it is well"}, ""),
        ],
    )
    def test_back_at_names_the_commit_only_if_github_knows_it(
        self, changes: dict[str, object], back_at: str
    ) -> None:
        facts = {"outcome": "rolled_back", "after": OLD, "step": "restart"} | changes
        told = judged(line_of(**facts), "Failed")
        assert (told.kind, told.back_at) == (FAILED, back_at)


NEWER = "b" * 40


class TestJudgeWithOthers:
    """Runs of other commits of the same target, between the runs of the commit."""

    def moved(self, number: int, *, at: int = 2) -> Run:
        """The run that moved this host to a newer commit."""
        output = line_of(after=NEWER, upstream=NEWER)
        return run_of(on(number, output=output), number=at, commit=NEWER)

    def test_offline_host_moved_by_another_commit_is_no_longer_at_the_commit(
        self,
    ) -> None:
        first = run_of(on(1, output=UPDATED), on(2, output=UPDATED))
        back = run_of(on(1, output=UPDATED), on(2, "DeliveryTimedOut"), number=3)
        verdict = judge([first, back], now=NOW, others=[self.moved(2)])
        assert kinds_of(verdict) == {"web-1": AT, "web-2": OFFLINE}

    def test_host_moved_by_another_commit_and_not_sent_again_has_not_begun(self) -> None:
        first = run_of(on(1, output=UPDATED), on(2, output=UPDATED))
        again = run_of(on(1, output=UPDATED), number=3, attempt=1)
        verdict = judge([first, again], now=NOW, others=[self.moved(2)])
        assert kinds_of(verdict) == {"web-1": AT, "web-2": NOT_BEGUN}
        assert not verdict.is_everywhere

    def test_host_that_another_commit_s_run_left_unchanged_is_at_the_commit(self) -> None:
        first = run_of(on(1, output=UPDATED), on(2, output=UPDATED))
        again = run_of(on(1, output=UPDATED), number=3, attempt=1)
        older = run_of(on(2, output=line_of(outcome="unchanged")), number=2, commit=OLD)
        verdict = judge([first, again], now=NOW, others=[older])
        assert kinds_of(verdict) == {"web-1": AT, "web-2": AT}

    def test_host_that_only_another_commit_was_sent_to_does_not_count(self) -> None:
        first = run_of(on(1, output=UPDATED))
        again = run_of(on(1, output=UPDATED), number=3, attempt=1)
        verdict = judge([first, again], now=NOW, others=[self.moved(2)])
        assert kinds_of(verdict) == {"web-1": AT}

    def test_newer_commit_after_the_newest_run_does_not_count(self) -> None:
        first = run_of(on(1, output=UPDATED))
        assert judge([first], now=NOW, others=[self.moved(1)]).is_everywhere

    def test_host_that_failed_and_was_moved_by_another_commit_has_failed(self) -> None:
        first = run_of(on(1, output=UPDATED), on(2, "Failed", CONFLICT), status="Failed")
        again = run_of(on(1, output=UPDATED), number=3, attempt=1)
        verdict = judge([first, again], now=NOW, others=[self.moved(2)])
        assert kinds_of(verdict) == {"web-1": AT, "web-2": FAILED}

    def test_rolled_back_run_of_another_commit_leaves_the_host_at_the_commit(self) -> None:
        first = run_of(on(1, output=UPDATED))
        ill = line_of(outcome="rolled_back", after=COMMIT, upstream=NEWER, step="restart")
        other = run_of(on(1, "Failed", ill), number=2, commit=NEWER, status="Failed")
        again = run_of(on(1, "Undeliverable"), number=3)
        assert judge([first, again], now=NOW, others=[other]).is_everywhere

    @pytest.mark.parametrize(
        "outcome", ["busy", "unreachable", "missing_commit", "bad_parameter", "no_checkout"]
    )
    def test_failed_run_that_touched_nothing_leaves_the_host_at_the_commit(
        self, outcome: str
    ) -> None:
        first = run_of(on(1, output=UPDATED))
        nothing = line_of(outcome=outcome, after=None, upstream=None)
        second = run_of(on(1, "Failed", nothing), number=2, status="Failed")
        assert judge([first, second], now=NOW).is_everywhere

    def test_document_refused_by_the_agent_leaves_the_host_at_the_commit(self) -> None:
        refused = replace(on(1, "Failed"), is_refused=True)
        runs = [run_of(on(1, output=UPDATED)), run_of(refused, number=2, status="Failed")]
        assert judge(runs, now=NOW).is_everywhere

    def test_host_rolled_back_from_a_newer_tip_to_the_commit_is_at_the_commit(self) -> None:
        first = run_of(on(1, output=UPDATED))
        ill = line_of(outcome="rolled_back", after=COMMIT, upstream=NEWER, step="health_check")
        second = run_of(on(1, "Failed", ill), number=2, status="Failed")
        assert judge([first, second], now=NOW).is_everywhere

    def test_roll_back_from_a_newer_tip_counts_as_overtaken(self) -> None:
        ill = line_of(outcome="rolled_back", after=OLD, upstream=NEWER, step="health_check")
        verdict = judge([run_of(on(1, "Failed", ill), status="Failed")], now=NOW)
        assert kinds_of(verdict) == {"web-1": OVERTAKEN}
        assert verdict.hosts[0].words == NEWER[:7]


class TestHostilePartsOfAResult:
    @pytest.mark.parametrize("commits", [-5, True, 10**9])
    def test_impossible_number_of_local_commits_is_not_shown(self, commits: object) -> None:
        assert judged(line_of(local_commits=commits)).words == ""

    @pytest.mark.parametrize("name", ["a; web-2: rolled back", "a (ok), web-2", "a\nb", "x" * 101])
    def test_file_name_that_could_fake_a_part_of_the_line_is_not_shown(self, name: str) -> None:
        told = judged(line_of(set_aside=name))
        assert (told.words, told.set_aside) == ("a file set aside", "a file")

    def test_invalid_saved_ref_is_not_shown(self) -> None:
        assert judged(line_of(saved="x; web-2: rolled back")).words == ""

    def test_upstream_that_is_no_commit_is_a_failure(self) -> None:
        judged_ = judged(line_of(upstream="   "))
        assert (judged_.kind, judged_.words) == (FAILED, "its result names no commit")


class TestJudgeOvertaken:
    """A host says that it was overtaken: only a command that was sent can confirm it."""

    OVER = line_of(outcome="unchanged", after=NEWER, upstream=NEWER)

    def judged(self, *asked: RollOut, later: timedelta = timedelta(hours=1)) -> Verdict:
        run = run_of(on(1, output=self.OVER), on(2, output=UPDATED))
        return judge([run], now=ENDED + later, asked=[run.roll_out, *asked])

    def asked_for(self, commit: str, number: int) -> RollOut:
        return run_of(number=number, commit=commit).roll_out

    def test_newer_requested_commit_overtakes(self) -> None:
        verdict = self.judged(self.asked_for(NEWER, 2))
        assert kinds_of(verdict) == {"web-1": OVERTAKEN, "web-2": AT}

    def test_commit_that_was_never_sent_is_a_failure(self) -> None:
        for asked in ([], [self.asked_for(OLD, 2)], [self.asked_for(NEWER, 0)]):
            verdict = self.judged(*asked)
            assert kinds_of(verdict) == {"web-1": FAILED, "web-2": AT}
            assert verdict.hosts[0].words == "it says that it runs bbbbbbb, which was never sent"

    def test_superseded_host_is_overtaken_only_if_a_newer_command_was_sent(self) -> None:
        run = run_of(on(1, output=line_of(outcome="superseded", upstream=OLD, after=OLD)))
        later = ENDED + timedelta(hours=1)
        newer = self.asked_for(NEWER, 2)
        assert kinds_of(judge([run], now=later, asked=[run.roll_out, newer])) == {
            "web-1": OVERTAKEN
        }
        assert kinds_of(judge([run], now=later, asked=[run.roll_out])) == {"web-1": FAILED}

    @pytest.mark.parametrize("upstream", [None, COMMIT])
    def test_superseded_host_that_names_no_other_commit_fails_without_naming_a_commit(
        self, upstream: str | None
    ) -> None:
        run = run_of(on(1, output=line_of(outcome="superseded", upstream=upstream)))
        verdict = judge([run], now=ENDED + timedelta(hours=1), asked=[run.roll_out])
        words = "it says that a newer command was there first, and none was sent"
        assert (verdict.hosts[0].kind, verdict.hosts[0].words) == (FAILED, words)

    def test_newer_commit_that_was_rolled_back_overtakes_only_if_it_was_requested(self) -> None:
        ill = line_of(outcome="rolled_back", after=OLD, upstream=NEWER, step="restart")
        run, later = run_of(on(1, "Failed", ill), status="Failed"), ENDED + timedelta(hours=1)
        newer = [run.roll_out, self.asked_for(NEWER, 2)]
        for asked, kind in ((newer, OVERTAKEN), ([run.roll_out], FAILED), ([], FAILED)):
            verdict = judge([run], now=later, asked=asked)
            assert kinds_of(verdict) == {"web-1": kind}

    def test_host_at_an_unknown_newer_commit_is_running_until_its_delivery_is_due(self) -> None:
        verdict = self.judged(later=timedelta(minutes=4))
        assert kinds_of(verdict) == {"web-1": RUNNING, "web-2": AT}
        assert not verdict.is_final

    def test_host_fails_if_the_delivery_has_not_come_after_five_minutes(self) -> None:
        assert kinds_of(self.judged(later=timedelta(minutes=5)))["web-1"] == FAILED

    def test_host_without_an_end_time_fails_without_waiting_for_a_delivery(self) -> None:
        run = run_of(replace(on(1, output=self.OVER), ended=None))
        verdict = judge([run], now=ENDED, asked=[run.roll_out])
        assert kinds_of(verdict) == {"web-1": FAILED}


class TestNotes:
    def test_words_name_the_drift_the_set_aside_edit_and_the_saved_ref(self) -> None:
        told = line_of(drift="head", set_aside="a/settings.ini", saved="refs/pulley/saved/1-2-3")
        words = judge_host(on(1, output=told), ROLL_OUT).words
        assert (
            words == "drifted, brought back, a/settings.ini set aside, kept refs/pulley/saved/1-2-3"
        )


class TestTold:
    ASIDE = line_of(set_aside="app.ini")
    AGAIN = line_of(outcome="unchanged", set_aside="app.ini")

    def told(self, *runs: Run) -> dict[str, str]:
        return kinds_of(judge(runs, now=NOW).told)

    def test_only_the_host_that_set_an_edit_aside_has_failed(self) -> None:
        run = run_of(on(1, output=UPDATED), on(2, output=self.ASIDE), saved="fail")
        assert self.told(run) == {"web-1": AT, "web-2": FAILED}

    def test_overtaken_host_with_a_set_aside_edit_stays_overtaken(self) -> None:
        newer = line_of(outcome="unchanged", upstream=NEWER, after=NEWER, set_aside="app.ini")
        verdict = judge([run_of(on(1, output=newer), saved="fail")], now=NOW)
        assert verdict.hosts[0].set_aside == "app.ini"
        assert kinds_of(verdict.told) == {"web-1": OVERTAKEN}

    def test_later_run_decides_whether_the_edit_is_still_set_aside(self) -> None:
        first, seen_to = run_of(on(1, output=self.ASIDE), saved="fail"), line_of()
        for second, kind in ((self.AGAIN, FAILED), (seen_to, AT)):
            run = run_of(on(1, output=second), number=2, saved="fail")
            assert self.told(first, run) == {"web-1": kind}

    @pytest.mark.parametrize(("sent", "kind"), [("keep", AT), ("fail", FAILED)])
    def test_round_follows_the_saved_setting_of_the_deploy(self, sent: str, kind: str) -> None:
        later = {"keep": "fail", "fail": "keep"}[sent]
        deploy = run_of(on(1, output=self.ASIDE), saved=sent)
        again = run_of(on(1, output=self.AGAIN), number=2, attempt=1, saved=later)
        assert self.told(deploy, again) == {"web-1": kind}

    @pytest.mark.parametrize(("sent", "kind"), [("keep", AT), ("fail", FAILED)])
    def test_manual_deploy_follows_its_own_saved_setting(self, sent: str, kind: str) -> None:
        earlier = {"keep": "fail", "fail": "keep"}[sent]
        push = run_of(on(1, output=self.ASIDE), saved=earlier)
        by_hand = run_of(on(1, output=self.AGAIN), number=2, saved=sent)
        assert self.told(by_hand, push) == {"web-1": kind}

    @pytest.mark.parametrize(("sent", "kind"), [("keep", AT), ("fail", FAILED)])
    def test_commit_sent_only_by_rounds_follows_the_first_saved_setting(
        self, sent: str, kind: str
    ) -> None:
        later = {"keep": "fail", "fail": "keep"}[sent]
        first = run_of(on(1, output=self.ASIDE), attempt=1, saved=sent)
        again = run_of(on(1, output=self.AGAIN), number=2, attempt=2, saved=later)
        assert self.told(again, first) == {"web-1": kind}


class TestIsQuiet:
    def test_run_with_only_unchanged_hosts_is_quiet(self) -> None:
        unchanged = line_of(outcome="unchanged")
        assert is_quiet(run_of(on(1, output=unchanged), on(2, output=unchanged)))

    @pytest.mark.parametrize(
        "told",
        [
            UPDATED,
            line_of(outcome="unchanged", drift="files"),
            line_of(outcome="superseded", upstream=None),
            CONFLICT,
            "",
        ],
    )
    def test_run_with_any_other_result_is_not_quiet(self, told: str) -> None:
        run = run_of(on(1, output=line_of(outcome="unchanged")), on(2, output=told))
        assert not is_quiet(run)

    def test_run_in_progress_is_not_quiet(self) -> None:
        unchanged = line_of(outcome="unchanged")
        assert not is_quiet(run_of(on(1, output=unchanged), status="InProgress"))
