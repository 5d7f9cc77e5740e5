"""A commit's status on GitHub: the right state and one clean line, for any answer of a host."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.commands import DocumentPin
from chalicelib.core.deployments import (
    MAX_DESCRIPTION,
    Attempt,
    Cause,
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    plain_text,
    replaced,
)
from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Command, Invocation, Run
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
    judge_host,
)
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.status_text import status_of
from chalicelib.core.stored import StoredPins
from chalicelib.core.targets import parse_target
from chalicelib.core.verdicts import Verdict, judge
from tests.facts import RESULT, ROLL_OUT
from tests.fakes import COMMIT, GUID, SITE, STAGE, target_json

# GitHub: "REST API endpoints for deployment statuses".
STATES = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"]
ENDED = ["success", "failure", "error", "inactive"]
KINDS = [AT, OVERTAKEN, OFFLINE, FAILED, NOT_BEGUN, CANCELLED, RUNNING, WAITING]
REQUESTED = datetime(2030, 1, 1, 8, 0, tzinfo=UTC)
REQUEST = DeploymentRequest(
    commit=CommitSha(COMMIT),
    environment="production",
    stage=STAGE,
    target="web",
    delivery=GUID,
)
ZERO_WIDTH_JOINER, RIGHT_TO_LEFT, LINE_SEPARATOR = "\u200d", "\u202e", "\u2028"
# Strings that attackers use to break out of a line of text, more often than by chance.
HOSTILE = st.lists(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "<<b>i>",
            "<",
            ">",
            "&lt;",
            "[link](http://x)",
            "`x`",
            "\x1b[31m",
            " [0m",
            "\x1b]0;title\x07",
            "\x9b31m",
            "\x00",
            "\r\n",
            LINE_SEPARATOR,
            RIGHT_TO_LEFT,
            ZERO_WIDTH_JOINER,
            "\ud800",
            "\udfff",
            "\U0001f680",
            "\U000e0041",
            "\ue000",
            "x" * 10_000,
        ]
    )
    | st.text(),
    max_size=8,
).map("".join)


def at(name: str = "web-1", words: str = "") -> HostVerdict:
    return HostVerdict(name, AT, words, updated=True)


def failed(name: str = "web-1", words: str = "conflict in app.py") -> HostVerdict:
    return HostVerdict(name, FAILED, words)


def named(kind: str, *names: str, words: str = "") -> list[HostVerdict]:
    return [HostVerdict(name, kind, words) for name in names]


def state_and_text(
    *hosts: HostVerdict, expected: int | None = None, final: bool = True, cancelled: bool = False
) -> tuple[str, str]:
    """The state and the description for these verdicts of hosts."""
    verdict = Verdict(
        command_id="command-1",
        roll_out=ROLL_OUT,
        hosts=hosts,
        is_final=final,
        expected_hosts=len(hosts) if expected is None else expected,
        was_cancelled=cancelled,
    )
    status = status_of(verdict)
    assert_clean(status.description)
    return status.state, status.description


def state_and_text_of_output(
    output: str, status: str = "Failed", details: str = "", host: str = "web-1"
) -> tuple[str, str]:
    """The same for a command with one host that printed this output."""
    command = Command(
        id="command-1",
        status=status,
        details=details or status,
        requested=REQUESTED,
        expires=REQUESTED + timedelta(minutes=20),
        target_count=1,
        roll_out=ROLL_OUT,
    )
    invocation = Invocation("i-01234567", host, status, details or status, output)
    verdict = judge([Run(command, (invocation,))], now=REQUESTED)
    description = status_of(verdict)
    assert_clean(description.description)
    return description.state, description.description


def line_of(**changes: object) -> str:
    return json.dumps(RESULT | changes) + "\n"


def assert_clean(text: str) -> None:
    """GitHub accepts the text, and it cannot harm a reader or a terminal."""
    assert 0 < len(text) <= MAX_DESCRIPTION
    assert not {unicodedata.category(one) for one in text} & {"Cc", "Cf", "Cs", "Co", "Cn"}
    assert not {unicodedata.category(one) for one in text} & {"Zl", "Zp"}
    assert not set("<>`[]\\") & set(text)
    assert all(one <= "\uffff" for one in text), "GitHub takes no 4-byte characters"
    assert text == " ".join(text.split())
    assert len(text.splitlines()) == 1


class TestDeploymentRequest:
    def test_payload_names_the_stage_the_target_and_the_delivery(self) -> None:
        assert REQUEST.payload == {"stage": "dev", "target": "web", "delivery": GUID}

    def test_announcement_has_the_target_s_environment_and_the_cause_s_commit(self) -> None:
        target = parse_target("", target_json(environment="production"))
        cause = Cause(SITE, CommitSha(COMMIT), "push", REQUESTED, delivery=GUID)
        assert Attempt(target, cause).announcement(STAGE) == REQUEST


class TestDeploymentStatus:
    @pytest.mark.parametrize("state", STATES)
    def test_only_an_ended_state_is_final(self, state: str) -> None:
        assert DeploymentStatus(state, "").is_final == (state in ENDED)


class TestDeployment:
    DEPLOYMENT = Deployment(
        id=7,
        commit=COMMIT,
        environment="production",
        created=REQUESTED,
        stage=STAGE,
        target="web",
    )

    def test_deployment_answers_its_own_request(self) -> None:
        assert self.DEPLOYMENT.answers(REQUEST)

    def test_deployment_answers_the_same_request_of_another_delivery(self) -> None:
        assert self.DEPLOYMENT.answers(replace(REQUEST, delivery="another"))

    @pytest.mark.parametrize("field", ["commit", "environment", "stage", "target"])
    def test_deployment_that_differs_in_one_field_does_not_answer(self, field: str) -> None:
        other = replace(
            self.DEPLOYMENT,
            commit="a" * 40 if field == "commit" else COMMIT,
            environment="x" if field == "environment" else "production",
            stage="x" if field == "stage" else STAGE,
            target="x" if field == "target" else "web",
        )
        assert not other.answers(REQUEST)


class TestStatusOf:
    def test_command_under_way_is_in_progress(self) -> None:
        hosts = [at(), *named(RUNNING, "web-2")]
        assert state_and_text(*hosts, expected=3, final=False) == (
            "in_progress",
            "deploying 4d5e6f7 to 3 hosts",
        )
        assert state_and_text(*named(RUNNING, "web-1"), final=False) == (
            "in_progress",
            "deploying 4d5e6f7 to 1 host",
        )

    def test_command_with_unknown_hosts_is_in_progress(self) -> None:
        assert state_and_text(final=False) == ("in_progress", "deploying 4d5e6f7")

    def test_target_that_matched_no_host_is_an_error(self) -> None:
        assert state_and_text() == (
            "error",
            "no host matched: none is registered with the target's tags and the tag pulley",
        )

    def test_all_hosts_at_the_commit_are_a_success_with_their_names(self) -> None:
        assert state_and_text(at()) == ("success", "1 of 1 host at 4d5e6f7: web-1")
        assert state_and_text(at(), at("web-2")) == (
            "success",
            "2 of 2 hosts at 4d5e6f7: web-1, web-2",
        )

    def test_success_names_what_a_host_kept(self) -> None:
        assert state_and_text(at(words="2 local commits on top"), at("web-2")) == (
            "success",
            "2 of 2 hosts at 4d5e6f7: web-1 (2 local commits on top), web-2",
        )

    def test_success_with_many_hosts_names_only_hosts_with_remarks(self) -> None:
        hosts = [at(f"web-{number:03}") for number in range(100)]
        assert state_and_text(*hosts) == ("success", "100 of 100 hosts at 4d5e6f7")
        hosts[7] = at("web-007", "kept refs/saved/1")
        assert state_and_text(*hosts, *named(OFFLINE, "z")) == (
            "success",
            "100 of 101 hosts at 4d5e6f7; 1 offline, will catch up; web-007: kept refs/saved/1",
        )

    def test_offline_hosts_do_not_prevent_success(self) -> None:
        assert state_and_text(at(), *named(OFFLINE, "web-2")) == (
            "success",
            "1 of 2 hosts at 4d5e6f7: web-1; 1 offline, will catch up",
        )

    def test_only_offline_hosts_are_an_error(self) -> None:
        assert state_and_text(*named(OFFLINE, "web-1", "web-2")) == (
            "error",
            "no host was reached: 0 of 2 hosts at 4d5e6f7; 2 offline, will catch up",
        )

    def test_failed_host_is_a_failure_with_its_reason(self) -> None:
        assert state_and_text(failed()) == (
            "failure",
            "0 of 1 host at 4d5e6f7, 1 failed; web-1: conflict in app.py",
        )

    def test_hosts_that_failed_for_the_same_reason_are_named_together(self) -> None:
        hosts = [at("a"), failed("b"), failed("c", "the disk is full"), failed("d")]
        assert state_and_text(*hosts) == (
            "failure",
            "1 of 4 hosts at 4d5e6f7, 3 failed; b, d: conflict in app.py; c: the disk is full",
        )

    @pytest.mark.parametrize(
        ("count", "names"), [(3, "web-0, web-1, web-2"), (4, "web-0, web-1 and 2 more")]
    )
    def test_at_most_three_failed_hosts_are_named_and_the_rest_counted(
        self, count: int, names: str
    ) -> None:
        hosts = [failed(f"web-{number}") for number in range(count)]
        assert state_and_text(*hosts) == (
            "failure",
            f"0 of {count} hosts at 4d5e6f7, {count} failed; {names}: conflict in app.py",
        )

    def test_long_ec2_host_names_leave_room_for_the_reason(self) -> None:
        domain = "eu-central-1.compute.internal"
        hosts = [failed(f"ip-10-0-12-{number}.{domain}") for number in range(3)]
        assert state_and_text(*hosts) == (
            "failure",
            (
                "0 of 3 hosts at 4d5e6f7, 3 failed; "
                f"ip-10-0-12-0.{domain} and 2 more: conflict in app.py"
            ),
        )

    @pytest.mark.parametrize(
        ("lengths", "shown"),
        [
            ([44], ["x" * 44]),
            ([45], ["x" * 43 + "…"]),
            ([21, 21], ["x" * 21, "x" * 21]),
            ([21, 22], ["x" * 21 + " and 1 more"]),
            ([20, 20, 20], ["x" * 20, "x" * 20 + " and 1 more"]),
        ],
    )
    def test_host_names_are_shown_while_they_fit(
        self, lengths: list[int], shown: list[str]
    ) -> None:
        _, description = state_and_text(*(failed("x" * length, "why") for length in lengths))
        assert description.partition("; ")[2] == f"{', '.join(shown)}: why"

    def test_very_long_host_name_is_cut_before_the_reason(self) -> None:
        state, description = state_and_text(failed("x" * 10_000), at())
        assert state == "failure"
        assert description.endswith("x…: conflict in app.py")

    def test_roll_out_stopped_by_max_errors_says_so(self) -> None:
        assert state_and_text(failed(words="busy"), *named(NOT_BEGUN, "web-2", "web-3")) == (
            "failure",
            "stopped: 0 of 3 hosts at 4d5e6f7, 1 failed; web-1: busy; 2 not begun",
        )

    def test_document_refused_by_the_agent_is_a_failure_with_its_reason(self) -> None:
        refused = Invocation(
            "i-01234567",
            "web-1",
            "Failed",
            "Failed",
            is_refused=True,
            trace="it is\nmissing; no",
        )
        assert state_and_text(judge_host(refused, ROLL_OUT)) == (
            "failure",
            (
                "0 of 1 host at 4d5e6f7, 1 failed; web-1: its SSM agent refused the document: "
                "it is missing, no"
            ),
        )

    def test_cancelled_command_is_an_error_that_says_so(self) -> None:
        assert state_and_text(at(), *named(CANCELLED, "web-2"), cancelled=True) == (
            "error",
            "cancelled: 1 of 2 hosts at 4d5e6f7; 1 cancelled",
        )
        assert state_and_text(failed(), *named(CANCELLED, "web-2"), cancelled=True) == (
            "error",
            "cancelled: 0 of 2 hosts at 4d5e6f7, 1 failed; web-1: conflict in app.py; 1 cancelled",
        )

    def test_command_cancelled_after_every_host_succeeded_is_a_success(self) -> None:
        assert state_and_text(at(), cancelled=True) == ("success", "1 of 1 host at 4d5e6f7: web-1")

    def test_all_hosts_overtaken_are_inactive(self) -> None:
        hosts = named(OVERTAKEN, "web-1", "web-2", words="bbbbbbb")
        assert state_and_text(*hosts) == ("inactive", "overtaken by bbbbbbb before it ran")

    def test_hosts_overtaken_by_an_unknown_commit_are_inactive(self) -> None:
        assert state_and_text(*named(OVERTAKEN, "web-1")) == (
            "inactive",
            "overtaken by a newer command before it ran",
        )

    def test_some_hosts_overtaken_are_inactive_and_counted(self) -> None:
        overtaken = named(OVERTAKEN, "web-2", words="bbbbbbb")
        assert state_and_text(at(), *overtaken, *named(OFFLINE, "web-3")) == (
            "inactive",
            "overtaken by bbbbbbb on 1 of 3 hosts; 1 offline, will catch up",
        )

    def test_overtaken_host_does_not_hide_a_failed_host(self) -> None:
        overtaken = named(OVERTAKEN, "web-2", words="bbbbbbb")
        assert state_and_text(failed(), *overtaken) == (
            "failure",
            "0 of 2 hosts at 4d5e6f7, 1 failed; web-1: conflict in app.py; 1 overtaken",
        )

    def test_hosts_without_an_answer_are_an_error(self) -> None:
        assert state_and_text(at(), expected=3) == (
            "error",
            "incomplete: 1 of 3 hosts at 4d5e6f7; 2 said nothing",
        )

    @pytest.mark.parametrize(
        ("kind", "words"), [(NOT_BEGUN, "1 not begun"), (CANCELLED, "1 cancelled")]
    )
    def test_hosts_that_did_not_run_are_an_error(self, kind: str, words: str) -> None:
        assert state_and_text(at(), *named(kind, "web-2")) == (
            "error",
            f"incomplete: 1 of 2 hosts at 4d5e6f7; {words}",
        )

    def test_every_kind_of_host_verdict_at_once_is_a_failure_with_all_counts(self) -> None:
        hosts = [
            at("a"),
            failed("b", "why"),
            *named(OFFLINE, "c"),
            *named(NOT_BEGUN, "d"),
            *named(CANCELLED, "e"),
            *named(OVERTAKEN, "f"),
        ]
        state, description = state_and_text(*hosts, expected=7)
        assert state == "failure"
        assert description == (
            "stopped: 1 of 7 hosts at 4d5e6f7, 1 failed; b: why; 1 offline, will catch up; "
            "1 not begun; 1 cancelled; 1 said nothing; 1 overtaken"
        )

    def test_reason_too_long_for_the_text_is_cut_and_later_parts_are_left_out(self) -> None:
        state, description = state_and_text(failed(words="x" * 280), *named(OFFLINE, "web-2"))
        assert state == "failure"
        assert description == ("0 of 2 hosts at 4d5e6f7, 1 failed; web-1: " + "x" * 140)[:139] + "…"

    def test_part_that_does_not_fit_is_left_out_but_a_shorter_later_part_is_kept(self) -> None:
        hosts = [failed("a", "x" * 60), failed("b", "y" * 60), *named(OFFLINE, "c")]
        assert state_and_text(*hosts) == (
            "failure",
            f"0 of 3 hosts at 4d5e6f7, 2 failed; a: {'x' * 60}; 1 offline, will catch up",
        )

    @pytest.mark.parametrize("count", [1, 2, 3, 50, 1000])
    @pytest.mark.parametrize("reason", ["after pull: {} of 9 tests failed", "{}" + "x" * 300])
    @pytest.mark.parametrize("domain", ["", "." + "eu-central-1.compute.internal" * 3])
    def test_text_always_has_the_number_of_failed_hosts_and_the_first_reason(
        self, count: int, reason: str, domain: str
    ) -> None:
        hosts = [failed(f"web-{one}{domain}", reason.format(one)) for one in range(count)]
        rest = [*named(OFFLINE, "y"), *named(NOT_BEGUN, "z")]
        _, description = state_and_text(*hosts, *rest)
        total, first = count + 2, reason.format(0)
        assert description.startswith(f"stopped: 0 of {total} hosts at 4d5e6f7, {count} failed; ")
        _, _, why = description.partition("; web-0")
        assert first[:30] in why

    @pytest.mark.parametrize(
        ("words", "end"),
        [
            ("a" * 90 + ", " + "b" * 20, "a…"),
            ("a" * 98 + " b", "a…"),
            ("a" * 70 + " " + "b" * 60, "b…"),
        ],
    )
    def test_reason_is_cut_between_words_unless_a_word_is_very_long(
        self, words: str, end: str
    ) -> None:
        _, description = state_and_text(failed(words=words))
        assert description.endswith(end)

    @pytest.mark.parametrize(("length", "fits"), [(116, True), (117, False)])
    def test_success_names_its_hosts_only_if_the_whole_text_fits(
        self, length: int, *, fits: bool
    ) -> None:
        standing, name = "1 of 1 host at 4d5e6f7", "x" * length
        assert len(f"{standing}: {name}") == MAX_DESCRIPTION + (not fits)
        expected = f"{standing}: {name}" if fits else standing
        assert state_and_text(at(name)) == ("success", expected)

    @pytest.mark.parametrize(("length", "fits"), [(89, True), (90, False)])
    def test_last_part_is_shown_only_if_it_fits(self, length: int, *, fits: bool) -> None:
        line = f"0 of 2 hosts at 4d5e6f7, 1 failed; a: {'x' * length}"
        expected = f"{line}; 1 overtaken" if fits else line
        assert len(f"{line}; 1 overtaken") == MAX_DESCRIPTION + (not fits)
        overtaken = named(OVERTAKEN, "b")
        assert state_and_text(failed("a", "x" * length), *overtaken) == ("failure", expected)

    @pytest.mark.parametrize("kind", KINDS)
    def test_success_requires_every_reached_host_at_the_commit(self, kind: str) -> None:
        state, _ = state_and_text(at(), *named(kind, "web-2"))
        assert (state == "success") == (kind in {AT, OFFLINE})

    @given(
        st.lists(st.builds(HostVerdict, HOSTILE, st.sampled_from(KINDS), HOSTILE), max_size=6),
        st.integers(0, 3),
        st.fixed_dictionaries({"final": st.booleans(), "cancelled": st.booleans()}),
    )
    def test_hostile_host_verdicts_give_one_clean_line(
        self, hosts: Sequence[HostVerdict], silent: int, command: dict[str, bool]
    ) -> None:
        state, _ = state_and_text(*hosts, expected=len(hosts) + silent, **command)
        final = command["final"]
        assert state in STATES
        kinds = [host.kind for host in hosts]
        green = final and AT in kinds and set(kinds) <= {AT, OFFLINE} and not silent
        assert (state == "success") == green
        assert (state == "in_progress") == (not final)


class TestStatusOfOutput:
    """From a host's raw output, or what replaces it, to the description."""

    @pytest.mark.parametrize(
        ("output", "words"),
        [
            ("", "no result line in the host's output"),
            (line_of()[:90], "no result line in the host's output"),
            (line_of()[:-9] + "--output truncated--", "no result line in the host's output"),
            ("<h1>502 Bad Gateway</h1>", "no result line in the host's output"),
            ("{}", "no result line in the host's output"),
            (line_of(v=2), "a result line of a version not known here: 2"),
            (line_of(v="<b>"), "a result line of a version not known here: ''"),
            (line_of(target="api"), "its result is of another target"),
            (line_of(outcome="busy"), "busy"),
            (
                line_of(outcome="broken", step="after_pull", detail="exit code 1: no <b>way</b>"),
                "broken: after pull: exit code 1: no way",
            ),
            (
                line_of(outcome="conflict", detail="\x1b[1;31mconflict\x1b[0m in app.py"),
                "conflict: conflict in app.py",
            ),
            (
                # The host replaced characters outside ASCII by spaces.
                line_of(
                    outcome="rolled_back",
                    after="a" * 40,
                    step="after_pull",
                    detail="exit code 1:  [1m [31mError [0m: line[3] took [10m]",
                ),
                "rolled back to aaaaaaa: after pull: exit code 1: Error : line3 took 10m",
            ),
            (
                line_of(outcome="conflict", detail="a\x00b\r\nc\u2028d\u202ee\ud800f\U0001f680g"),
                "conflict: a b c d e f g",
            ),
        ],
    )
    def test_invalid_or_unclean_output_is_a_failure_with_clean_text(
        self, output: str, words: str
    ) -> None:
        assert state_and_text_of_output(output) == (
            "failure",
            f"0 of 1 host at 4d5e6f7, 1 failed; web-1: {words}",
        )

    @pytest.mark.parametrize("output", ["", line_of()[:90], line_of(target="api")])
    def test_succeeded_command_without_the_host_s_result_is_a_failure(self, output: str) -> None:
        state, _ = state_and_text_of_output(output, "Success")
        assert state == "failure"

    def test_detail_of_ten_thousand_characters_is_cut(self) -> None:
        state, description = state_and_text_of_output(
            line_of(outcome="broken", detail="x" * 10_000)
        )
        assert state == "failure"
        assert description.endswith("x…")
        assert len(description) == MAX_DESCRIPTION

    @pytest.mark.parametrize("length", range(90, 120))
    def test_cut_does_not_split_an_emoji(self, length: int) -> None:
        detail = "x" * length + "\U0001f468\u200d\U0001f469\u200d\U0001f467\u2764\ufe0f" * 9
        _, description = state_and_text_of_output(line_of(outcome="broken", detail=detail))
        assert description.encode()

    def test_host_stopped_at_its_limit_says_so(self) -> None:
        assert state_and_text_of_output("", "TimedOut", "ExecutionTimedOut") == (
            "failure",
            "0 of 1 host at 4d5e6f7, 1 failed; web-1: stopped at its limit of 600 s",
        )

    @given(
        detail=HOSTILE,
        host=HOSTILE,
        outcome=st.sampled_from(["updated", "conflict", "broken", "superseded"]) | HOSTILE,
        upstream=st.none() | st.just(COMMIT) | HOSTILE,
        step=st.none() | HOSTILE,
        saved=st.none() | HOSTILE,
    )
    def test_hostile_result_gives_one_clean_line(
        self,
        detail: str,
        host: str,
        outcome: str,
        upstream: str | None,
        step: str | None,
        saved: str | None,
    ) -> None:
        output = line_of(detail=detail, outcome=outcome, upstream=upstream, step=step, saved=saved)
        state, _ = state_and_text_of_output(output, "Success", host=host)
        assert (state == "success") == (outcome == "updated" and upstream == COMMIT)

    @given(output=HOSTILE, host=HOSTILE, status=HOSTILE, details=HOSTILE)
    def test_hostile_output_or_status_gives_one_clean_line_and_never_success(
        self, output: str, host: str, status: str, details: str
    ) -> None:
        for over in (status, "Failed", "TimedOut"):
            state, _ = state_and_text_of_output(output, over, details, host)
            assert state in {"failure", "error", "in_progress"}


class TestReplaced:
    def test_replaced_status_names_the_replacing_commit(self) -> None:
        assert replaced(CommitSha("b" * 40)) == DeploymentStatus("inactive", "replaced by bbbbbbb")


class TestAttempt:
    """A target without a pin, except for the pin that a test stores."""

    CAUSE = Cause(
        repository=SITE,
        commit=CommitSha(COMMIT),
        word="push",
        now=REQUESTED,
        delivery=GUID,
        by="mona",
    )
    TARGET = parse_target("web", target_json())

    def prepared(self, text: str | None = None, update: str = "") -> Attempt:
        stored = StoredPins({} if text is None else {"web": text})
        attempt = Attempt(self.TARGET, replace(self.CAUSE, update=update))
        return attempt.prepared(stored, DocumentPin("3", "a" * 64), stage=STAGE)

    def pinned(self, **pin: object) -> str:
        return json.dumps({"state": "pinned", "commit": COMMIT} | pin)

    def test_target_without_a_pin_gets_a_send_request(self) -> None:
        attempt = self.prepared()
        assert attempt.request
        assert (attempt.pin, attempt.answer, attempt.status) == (None, None, None)
        assert attempt.request.document_pin == DocumentPin("3", "a" * 64)
        assert attempt.request.parameters["Issued"] == str(int(REQUESTED.timestamp() * 1000))

    def test_target_pinned_at_another_commit_is_not_sent_and_github_shows_why(self) -> None:
        attempt = self.prepared(self.pinned(commit="b" * 40))
        assert attempt.request is None
        assert attempt.status == DeploymentStatus("inactive", "not deployed: pinned at bbbbbbb")

    def test_target_pinned_at_this_commit_is_not_sent_and_gets_no_status(self) -> None:
        attempt = self.prepared(self.pinned())
        assert (attempt.request, str(attempt.pin), attempt.status) == (
            None,
            "pinned at 4d5e6f7",
            None,
        )

    def test_exact_update_to_the_pinned_commit_is_sent(self) -> None:
        attempt = self.prepared(self.pinned(), update="exact")
        assert attempt.request
        assert attempt.request.parameters["Update"] == "exact"
        assert attempt.pin is None

    @pytest.mark.parametrize("text", [None, '{"state": "none"}', "{"])
    def test_exact_update_without_a_valid_pin_is_not_sent(self, text: str | None) -> None:
        attempt = self.prepared(text, update="exact")
        assert attempt.request is None
        assert isinstance(attempt.answer, UnavailableError)
        assert attempt.status == DeploymentStatus(
            "error", f"not sent to any host: {attempt.answer}"
        )

    def test_target_with_an_invalid_pin_is_not_sent(self) -> None:
        attempt = self.prepared("{")
        assert (attempt.request, str(attempt.answer)) == (
            None,
            "the target's stored pin is not valid",
        )

    @given(HOSTILE)
    def test_hostile_reason_gives_one_clean_line(self, why: str) -> None:
        attempt = Attempt(self.TARGET, self.CAUSE)
        for one in (
            replace(attempt, answer=UnavailableError(why)),
            replace(attempt, pin=Pin("frozen", reason=why)),
        ):
            assert one.status
            assert_clean(one.status.description)


class TestPlainText:
    @pytest.mark.parametrize(
        ("text", "plain"),
        [
            ("", ""),
            ("as it is: a/b (c) #1 & 'd' \"e\" é 漢字", "as it is: a/b (c) #1 & 'd' \"e\" é 漢字"),
            ("  two\n\n lines\t ", "two lines"),
            ("<b>bold</b> and <a href='x'>link</a>", "bold and link"),
            ("<script>alert(1)</script>", "alert(1)"),
            ("<!-- x -->y", "y"),
            ("<<b>script>", "script"),
            ("1 < 2 > 0", "1 2 0"),
            ("*a* `b` [c](d) |e| \\f", "a b c(d) e f"),
            ("\x1b[31mred\x1b[0m \x1b[2Kline \x1b[?25lx", "red line x"),
            (" [31mred [0m", "red"),
            ("[0mred", "red"),
            ("took [10m] at x[5m", "took 10m at x5m"),
            ("\x1b(Bx", "(Bx"),
            ("a\x00b\x7fc\x85d\u2028e\u2029f", "a b c d e f"),
            ("a\u202eb\u2066c\u200bd\ufeffe\xadf", "a b c d e f"),
            ("a\ud800b\ue000c\uffff", "a b c"),
            ("go \U0001f680 \U0001f468\u200d\U0001f469 now", "go now"),
        ],
    )
    def test_only_visible_text_remains(self, text: str, plain: str) -> None:
        assert plain_text(text) == plain

    def test_text_over_the_limit_is_cut(self) -> None:
        assert plain_text("x" * 140) == "x" * 140
        assert plain_text("x" * 141) == "x" * 139 + "…"
        assert plain_text("12345 78", 7) == "12345…"
        assert plain_text("1234567", 7) == "1234567"

    def test_removed_characters_do_not_count_towards_the_limit(self) -> None:
        assert plain_text("<b>" * 1000 + "x" * 140 + "\U0001f680" * 1000) == "x" * 140

    @given(HOSTILE, st.integers(1, 200))
    def test_hostile_text_becomes_clean_and_fits_the_limit(self, text: str, limit: int) -> None:
        plain = plain_text(text, limit)
        assert len(plain) <= limit
        if plain:
            assert_clean(plain[:MAX_DESCRIPTION].rstrip())

    @pytest.mark.parametrize("part", ["<a", "\x1b[", "\x1b[0", " [0", "[", "<", "</a "])
    def test_text_of_a_million_characters_is_cut(self, part: str) -> None:
        assert len(plain_text(part * (1_000_000 // len(part)))) <= MAX_DESCRIPTION


class TestRolledBack:
    def text_for(self, *back_at: str) -> str:
        hosts = [
            HostVerdict(f"web-{number}", FAILED, "rolled back: health check: 404", back_at=one)
            for number, one in enumerate(back_at, 1)
        ]
        return state_and_text(*hosts)[1]

    def test_hosts_back_at_the_same_commit_are_named_together(self) -> None:
        assert "; web-1, web-2: rolled back to aaaaaaa: health check: 404" in self.text_for(
            "aaaaaaa", "aaaaaaa"
        )

    def test_host_with_local_commits_is_named_with_the_other_hosts(self) -> None:
        assert "; web-1, web-2: rolled back to aaaaaaa: " in self.text_for("aaaaaaa", "")

    @pytest.mark.parametrize("back_at", [("aaaaaaa", "bbbbbbb"), ("", "")])
    def test_hosts_back_at_different_or_unknown_commits_are_shown_without_a_commit(
        self, back_at: tuple[str, str]
    ) -> None:
        assert "; web-1, web-2: rolled back: health check: 404" in self.text_for(*back_at)


def test_longer_limit_shows_every_failed_host() -> None:
    hosts = tuple(HostVerdict(f"web-{one}", FAILED, f"{one} " + "x" * 90) for one in range(1, 5))
    verdict = Verdict(
        "command-1", ROLL_OUT, hosts, is_final=True, expected_hosts=4, was_cancelled=False
    )
    assert "web-2" not in status_of(verdict).description
    whole = status_of(verdict, limit=4_000)
    assert all(f"{one.host}: {one.words}" in whole.description for one in hosts)
    assert (whole.state, len(status_of(verdict).description) <= MAX_DESCRIPTION) == (
        "failure",
        True,
    )
