"""The history in Systems Manager and the events of EventBridge. Any field may be invalid."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.commands import build_send_request
from chalicelib.core.events import NotReported, StatusChange, parse_status_change
from chalicelib.core.history import (
    Check,
    Invocation,
    host_name,
    parse_roll_out,
    plain_status,
)
from chalicelib.core.hosts import Host
from chalicelib.core.targets import parse_target
from tests.facts import ROLL_OUT
from tests.fakes import COMMIT, GUID, STAGE, target_json

# The User Guide, "Monitoring Systems Manager events with Amazon EventBridge".
COMMAND_CHANGE = "EC2 Command Status-change Notification"
INVOCATION_CHANGE = "EC2 Command Invocation Status-change Notification"
DOCUMENT = "pulley-dev-pull"
COMMAND_ID = "0831e1a8-a1ac-4257-a1fd-c831b48c4107"
REQUESTED = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
OVER = ["Success", "Failed", "TimedOut", "Timed Out", "Cancelled", "success", "TIMED OUT"]
NOT_OVER = ["Pending", "InProgress", "In Progress", "Delayed", "Cancelling", "Successful", ""]
PARAMETERS = {
    "Target": "web",
    "Repository": "octo/site",
    "Commit": COMMIT,
    "Update": "rebase",
    "Issued": "1896091200000",
    "Cause": "push",
    "Delivery": GUID,
    "Deployment": "1234567",
    "Timeout": "600",
    "Checkout": "/srv/site",
    "Branch": "main",
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def invocation_with(status: str, details: str, ended: datetime | None = None) -> Invocation:
    return Invocation("i-0123456789abcdef0", "web-1", status, details, ended=ended)


def command_with(status: str, details: str) -> Check:
    return Check(COMMAND_ID, status, details, REQUESTED, REQUESTED, 1)


def event_of(**detail: object) -> dict[str, object]:
    """The event of an ended command, as EventBridge passes it to Lambda."""
    return {
        "version": "0",
        "id": "51c0891d-0e34-45b1-83d6-95db273d1602",
        "detail-type": COMMAND_CHANGE,
        "source": "aws.ssm",
        "account": "123456789012",
        "time": "2030-01-01T08:00:01Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": {
            "command-id": COMMAND_ID,
            "document-name": DOCUMENT,
            "requested-date-time": "2030-01-01T08:00:00Z",
            "expire-after": "2030-01-01T08:20:00Z",
            "parameters": "{}",
            "status": "Success",
        }
        | detail,
    }


class TestPlainStatus:
    @pytest.mark.parametrize(
        "text", ["DeliveryTimedOut", "Delivery Timed Out", "deliverytimedout", "DELIVERY TIMED OUT"]
    )
    def test_spaces_and_case_do_not_count(self, text: str) -> None:
        assert plain_status(text) == "deliverytimedout"


class TestInvocation:
    @pytest.mark.parametrize("status", OVER)
    def test_final_status_is_over(self, status: str) -> None:
        assert invocation_with(status, status).is_over

    @pytest.mark.parametrize("status", NOT_OVER)
    def test_other_status_is_not_over(self, status: str) -> None:
        assert not invocation_with(status, status).is_over

    @pytest.mark.parametrize(
        "details", ["Success", "Failed", "Execution Timed Out", "InProgress", "Pending", "Delayed"]
    )
    def test_invocation_with_any_other_details_has_begun(self, details: str) -> None:
        assert invocation_with("any", details).has_begun

    @pytest.mark.parametrize(
        "details",
        [
            "DeliveryTimedOut",
            "Delivery Timed Out",
            "Undeliverable",
            "Terminated",
            "AccessDenied",
            "Access Denied",
            "Invalid Platform",
            "RateExceeded",
            "Rate Limited",
            "Limit Exceeded",
            "terminated",
        ],
    )
    def test_invocation_that_never_reached_the_host_has_not_begun(self, details: str) -> None:
        assert not invocation_with("Failed", details).has_begun

    def test_cancelled_invocation_has_begun_only_if_it_has_an_end_time(self) -> None:
        assert not invocation_with("Cancelled", "Cancelled").has_begun
        assert invocation_with("Cancelled", "Cancelled", ended=REQUESTED).has_begun

    def test_invocation_refused_by_the_agent_has_not_begun_and_has_a_reason(self) -> None:
        refused = replace(invocation_with("Failed", "Failed"), is_refused=True)
        assert not refused.has_begun
        assert refused.refusal == "its SSM agent refused the document: it does not say why"
        refusal = replace(refused, trace="Branch is missing").refusal
        assert refusal == "its SSM agent refused the document: Branch is missing"

    def test_invocation_that_was_not_refused_has_no_refusal(self) -> None:
        assert replace(invocation_with("Failed", "Failed"), trace="x").refusal == ""


class TestCommand:
    @pytest.mark.parametrize("status", OVER)
    def test_final_status_is_over(self, status: str) -> None:
        assert command_with(status, status).is_over

    @pytest.mark.parametrize("status", NOT_OVER)
    def test_other_status_is_not_over(self, status: str) -> None:
        assert not command_with(status, status).is_over

    def test_cancelled_command_is_cancelled_and_a_terminated_command_is_not(self) -> None:
        assert command_with("Cancelled", "Cancelled").is_cancelled
        assert not command_with("Cancelled", "Terminated").is_cancelled
        assert not command_with("InProgress", "InProgress").is_cancelled

    def test_cancelling_command_is_cancelled_before_it_is_over(self) -> None:
        command = command_with("Cancelling", "Cancelling")
        assert command.is_cancelled
        assert not command.is_over


class TestMayReach:
    WEB = Host("i-00000000000000001", "web-1", tags={"role": "web", "pulley": "dev"})

    @pytest.mark.parametrize(
        ("selectors", "may_reach"),
        [
            ((), True),
            ((("tag:pulley", ("dev",)), ("tag:role", ("web", "api"))), True),
            ((("tag:pulley", ("dev",)), ("tag:role", ("api",))), False),
            ((("tag:zone", ("",)),), False),
            ((("InstanceIds", ("i-00000000000000001",)),), True),
            ((("InstanceIds", ("i-00000000000000002",)),), False),
            ((("resource-groups:Name", ("other",)),), True),
        ],
    )
    def test_host_that_fits_every_selector_may_be_reached(
        self, selectors: tuple[tuple[str, tuple[str, ...]], ...], *, may_reach: bool
    ) -> None:
        command = replace(command_with("Success", "Success"), selectors=selectors)
        assert command.may_reach(self.WEB) == may_reach


class TestRollOut:
    @pytest.mark.parametrize(
        ("update", "is_exact", "stops"),
        [
            ("rebase", False, False),
            ("reset", False, False),
            ("rebase-to", False, True),
            ("reset-to", False, True),
            ("exact", True, True),
        ],
    )
    def test_pin_and_gates_stop_at_the_commit(
        self, update: str, *, is_exact: bool, stops: bool
    ) -> None:
        roll_out = replace(ROLL_OUT, update=update)
        assert (roll_out.is_exact, roll_out.stops_at_commit) == (is_exact, stops)


class TestParseRollOut:
    PUSHED_AT = datetime(2030, 1, 1, 7, 59, 58, tzinfo=UTC)
    ROLL_OUT = replace(ROLL_OUT, deployment=1_234_567, pushed_at=PUSHED_AT, branch="main")
    COMMENT = "push at 2030-01-01T07:59:58Z: octo/site 4d5e6f7 to web"

    def test_all_fields_are_read(self) -> None:
        assert parse_roll_out(PARAMETERS, self.COMMENT, requested=REQUESTED) == self.ROLL_OUT

    def test_sent_roll_out_is_read_back(self) -> None:
        request = build_send_request(
            parse_target("", target_json()),
            stage=STAGE,
            commit=self.ROLL_OUT.commit,
            issued=self.ROLL_OUT.issued,
            cause="push",
            delivery=GUID,
            deployment=1_234_567,
            pushed_at=self.ROLL_OUT.pushed_at,
        )
        read = parse_roll_out(request.parameters, request.comment, requested=REQUESTED)
        assert read == self.ROLL_OUT

    def test_missing_parameters_are_empty(self) -> None:
        needed = {name: PARAMETERS[name] for name in ("Target", "Repository", "Commit")}
        assert parse_roll_out(needed, "", requested=REQUESTED) == replace(
            self.ROLL_OUT,
            issued=0,
            cause="",
            delivery="",
            deployment=None,
            timeout="",
            pushed_at=None,
            checkout="",
            branch="",
        )

    @pytest.mark.parametrize(("sent", "saved"), [("fail", "fail"), ("keep", "keep"), ("", "keep")])
    def test_saved_setting_is_read_and_defaults_to_keep(self, sent: str, saved: str) -> None:
        roll_out = parse_roll_out(PARAMETERS | {"Saved": sent}, self.COMMENT, requested=REQUESTED)
        assert roll_out == replace(self.ROLL_OUT, saved=saved)

    @pytest.mark.parametrize(
        "update", ["check", "check-tag", "saved", "drop", "", "of a later release"]
    )
    def test_command_that_does_not_update_is_not_a_roll_out(self, update: str) -> None:
        parameters = PARAMETERS | {"Update": update}
        assert parse_roll_out(parameters, self.COMMENT, requested=REQUESTED) is None

    @pytest.mark.parametrize(
        "update", ["rebase", "reset", "exact", "rebase-to", "reset-to", "tag", "tag-to"]
    )
    def test_command_with_any_update_method_is_a_roll_out(self, update: str) -> None:
        expected = replace(self.ROLL_OUT, update=update)
        assert (
            parse_roll_out(PARAMETERS | {"Update": update}, self.COMMENT, requested=REQUESTED)
            == expected
        )

    def test_sent_update_and_attempt_are_read_back(self) -> None:
        request = build_send_request(
            parse_target("", target_json()),
            stage=STAGE,
            commit=self.ROLL_OUT.commit,
            issued=self.ROLL_OUT.issued,
            cause="reconcile",
            update="exact",
            attempt=3,
        )
        roll_out = parse_roll_out(request.parameters, request.comment, requested=REQUESTED)
        assert roll_out
        assert (roll_out.cause, roll_out.update, roll_out.attempt) == ("reconcile", "exact", 3)
        assert (roll_out.delivery, roll_out.deployment, roll_out.pushed_at) == ("", None, None)

    def test_roll_out_outside_a_round_has_attempt_zero(self) -> None:
        roll_out = parse_roll_out(
            PARAMETERS, "manual: octo/site 4d5e6f7 to web", requested=REQUESTED
        )
        assert roll_out
        assert roll_out.attempt == 0

    def test_check_is_not_a_roll_out(self) -> None:
        assert (
            parse_roll_out(PARAMETERS | {"Update": "check"}, self.COMMENT, requested=REQUESTED)
            is None
        )

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Commit", ""),
            ("Commit", "null"),
            ("Commit", "0" * 40),
            ("Repository", ""),
            ("Repository", "octo"),
            ("Target", ""),
            ("Target", "Web!"),
            ("Target", "web\n"),
        ],
    )
    def test_invalid_commit_repository_or_target_gives_no_roll_out(
        self, name: str, value: str
    ) -> None:
        assert parse_roll_out(PARAMETERS | {name: value}, self.COMMENT, requested=REQUESTED) is None

    @pytest.mark.parametrize("name", ["Commit", "Repository", "Target"])
    def test_missing_commit_repository_or_target_gives_no_roll_out(self, name: str) -> None:
        without = {key: value for key, value in PARAMETERS.items() if key != name}
        assert parse_roll_out(without, self.COMMENT, requested=REQUESTED) is None

    @pytest.mark.parametrize("text", ["", "soon", "-1", "1" * 30, "1.5", "٣", "1\n"])
    def test_invalid_numbers_are_ignored(self, text: str) -> None:
        roll_out = parse_roll_out(
            PARAMETERS | {"Issued": text, "Deployment": text}, "", requested=REQUESTED
        )
        assert roll_out
        assert (roll_out.issued, roll_out.deployment) == (0, None)

    @pytest.mark.parametrize("ahead", [1, 300_001, 86_400_000, 10**14])
    def test_issued_time_in_the_future_is_clamped(self, ahead: int) -> None:
        requested = self.ROLL_OUT.issued
        parameters = PARAMETERS | {"Issued": str(requested + ahead)}
        roll_out = parse_roll_out(parameters, self.COMMENT, requested=REQUESTED)
        assert roll_out
        assert roll_out.issued == requested + min(ahead, 300_000)

    def test_issued_time_in_the_past_is_kept(self) -> None:
        parameters = PARAMETERS | {"Issued": "1"}
        roll_out = parse_roll_out(parameters, self.COMMENT, requested=REQUESTED)
        assert roll_out
        assert roll_out.issued == 1

    @given(st.dictionaries(st.sampled_from(list(PARAMETERS)), st.text()), st.text())
    def test_any_parameters_are_read_without_an_error(
        self, changes: dict[str, str], comment: str
    ) -> None:
        roll_out = parse_roll_out(PARAMETERS | changes, comment, requested=REQUESTED)
        assert roll_out is None or roll_out.issued >= 0


class TestHostName:
    ID = "i-0123456789abcdef0"

    @pytest.mark.parametrize("name", ["web-1", "WEB_1", "1", "ip-10-0-0-7", "a" * 63])
    def test_host_name_is_the_first_part_of_the_domain_name(self, name: str) -> None:
        assert host_name(name, self.ID) == host_name(f"{name}.example.com", self.ID) == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".example.com",
            "w; 3 of 3 hosts at ccccccc; a",
            "web-1, web-2",
            "web-1: ",
            "web-1 (kept)",
            "web-1\n",
            "wëb",
            "a" * 64,
        ],
    )
    def test_invalid_name_is_replaced_by_the_instance_id(self, name: str) -> None:
        assert host_name(name, self.ID) == self.ID


class TestParseStatusChange:
    @pytest.mark.parametrize("status", OVER)
    def test_event_of_an_ended_command_is_over(self, status: str) -> None:
        change = parse_status_change(event_of(status=status), DOCUMENT)
        assert change == StatusChange(COMMAND_ID, is_over=True)

    @pytest.mark.parametrize("status", [*NOT_OVER, None, 7, ["Success"], {}])
    def test_event_without_a_final_status_is_not_over(self, status: object) -> None:
        change = parse_status_change(event_of(status=status), DOCUMENT)
        assert change == StatusChange(COMMAND_ID, is_over=False)

    @pytest.mark.parametrize("parameters", ["{}", {}, None, "not JSON"])
    def test_parameters_of_the_event_are_ignored(self, parameters: object) -> None:
        change = parse_status_change(event_of(parameters=parameters), DOCUMENT)
        assert change == StatusChange(COMMAND_ID, is_over=True)

    @pytest.mark.parametrize(
        "event",
        [
            None,
            [],
            "aws.ssm",
            {},
            event_of() | {"source": "aws.ec2"},
            event_of() | {"source": "my.app"},
            event_of() | {"source": ["aws.ssm"]},
            event_of() | {"detail": None},
            event_of() | {"detail": "{}"},
        ],
    )
    def test_event_of_another_source_is_not_reported(self, event: object) -> None:
        assert parse_status_change(event, DOCUMENT) == NotReported(
            "not an event of Systems Manager"
        )

    def test_event_of_one_host_is_not_reported(self) -> None:
        event = event_of(**{"instance-id": "i-0123456789abcdef0"})
        change = parse_status_change(event | {"detail-type": INVOCATION_CHANGE}, DOCUMENT)
        assert change == NotReported("of one host: what counts is the command's event")

    @pytest.mark.parametrize("kind", ["Parameter Store Change", None, 1, [COMMAND_CHANGE]])
    def test_another_kind_of_event_is_not_reported(self, kind: object) -> None:
        change = parse_status_change(event_of() | {"detail-type": kind}, DOCUMENT)
        assert change == NotReported(f"not a change of a command's status but {kind!r}")

    @pytest.mark.parametrize("name", ["AWS-RunShellScript", "pulley-prod-pull", None, [DOCUMENT]])
    def test_command_of_another_document_is_not_reported(self, name: object) -> None:
        change = parse_status_change(event_of(**{"document-name": name}), DOCUMENT)
        assert change == NotReported(f"of another document: {name!r}")

    @pytest.mark.parametrize(
        "command_id",
        [None, 1, "", "x", COMMAND_ID + "\n", "../" + COMMAND_ID, COMMAND_ID.upper(), [COMMAND_ID]],
    )
    def test_command_without_a_valid_id_is_not_reported(self, command_id: object) -> None:
        change = parse_status_change(event_of(**{"command-id": command_id}), DOCUMENT)
        assert change == NotReported(f"no command id but {command_id!r}")

    def test_reason_is_short_ascii_for_any_event(self) -> None:
        nested: object = "ä\n" * 1000
        for _ in range(10_000):
            nested = [nested]
        for odd in (nested, "ä\n\x1b[31m" * 1000):
            change = parse_status_change(event_of(**{"document-name": odd}), DOCUMENT)
            assert isinstance(change, NotReported)
            assert change.reason.isascii()
            assert change.reason.isprintable()
            assert len(change.reason) < 120

    @given(
        JSON_VALUES
        | st.dictionaries(
            st.sampled_from(["source", "detail", "detail-type"]), JSON_VALUES, max_size=3
        ).map(lambda changes: event_of() | changes)
        | st.dictionaries(
            st.sampled_from(["command-id", "document-name", "status", "parameters"]), JSON_VALUES
        ).map(lambda changes: event_of(**changes))
    )
    def test_any_event_is_parsed_without_an_error(self, event: object) -> None:
        change = parse_status_change(event, DOCUMENT)
        if isinstance(change, StatusChange):
            assert change.command_id == COMMAND_ID
        else:
            assert change.reason
