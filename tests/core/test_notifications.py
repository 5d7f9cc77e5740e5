"""Notifications: a message in JSON for programs and Slack, and a subject that SNS accepts."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.notifications import MAX_SUBJECT, Notification, notification_of
from tests.fakes import COMMIT, GUID, STAGE
from tests.flows.runs import command_of, id_of, line_of, on, rolled_back, verdict_on

LOG_URL = "https://console/run-command"
SUCCESS = DeploymentStatus("success", "1 of 2 hosts at 4d5e6f7: web-1; 1 offline, will catch up")


def notification_for(status: DeploymentStatus = SUCCESS, *, cause: str = "push") -> Notification:
    """The notification of a commit with two hosts; the second host rolled back."""
    command = command_of(count=2)
    assert command.roll_out
    command = replace(command, roll_out=replace(command.roll_out, cause=cause))
    verdict = verdict_on(command, on(1, line_of()), on(2, rolled_back(COMMIT)))
    return notification_of(verdict, status, stage=STAGE, environment="production", log_url=LOG_URL)


class TestNotificationOf:
    def test_attributes_are_target_state_and_environment(self) -> None:
        assert notification_for().attributes == {
            "target": "web",
            "state": "success",
            "environment": "production",
        }

    def test_subject_and_description_are_the_same_line(self) -> None:
        line = f"web: success, {SUCCESS.description}"
        assert notification_for().subject == line
        assert notification_for().message["content"] == {
            "title": "octo/site 4d5e6f7: success",
            "description": line,
        }

    def test_message_is_a_custom_notification_for_chat_applications(self) -> None:
        message = notification_for().message
        assert (message["version"], message["source"]) == ("1.0", "custom")
        assert message["metadata"] == {
            "threadId": "web-4d5e6f7",
            "summary": f"web: success, {SUCCESS.description}",
            "eventType": "deployment",
            "additionalContext": {
                "target": "web",
                "state": "success",
                "environment": "production",
                "stage": STAGE,
                "repository": "octo/site",
                "commit": COMMIT,
                "description": SUCCESS.description,
                "cause": "push",
                "delivery": GUID,
                "command_id": id_of(1),
                "hosts": "2",
                "hosts_at_commit": "1",
                "log_url": LOG_URL,
            },
        }

    def test_unknown_fields_are_left_out(self) -> None:
        metadata = notification_for(cause="").message["metadata"]
        assert isinstance(metadata, dict)
        context = metadata["additionalContext"]
        assert "delivery" in context
        assert "cause" not in context
        assert all(isinstance(text, str) and text for text in context.values())

    def test_long_line_is_cut_in_the_subject_but_not_in_the_message(self) -> None:
        status = DeploymentStatus("failure", "x" * 140)
        assert len(notification_for(status).subject) <= MAX_SUBJECT
        assert "x" * 140 in json.dumps(notification_for(status).message)

    @pytest.mark.parametrize(
        ("description", "subject"),
        [
            ("Ärger in der Küche", "web: failure, ?rger in der K?che"),
            ("two\nlines\r\n", "web: failure, two lines"),
            ("\x1b[31mred\x1b[0m <b>bold</b>", "web: failure, red bold"),
        ],
    )
    def test_subject_is_one_line_of_ascii(self, description: str, subject: str) -> None:
        assert notification_for(DeploymentStatus("failure", description)).subject == subject

    @given(st.text())
    def test_any_description_gives_a_subject_that_sns_accepts(self, description: str) -> None:
        subject = notification_for(DeploymentStatus("error", description)).subject
        assert 0 < len(subject) <= MAX_SUBJECT
        assert subject.isascii()
        assert subject.isprintable()
        assert subject[0] != " "

    def test_message_is_json(self) -> None:
        notification = notification_for()
        assert json.loads(json.dumps(notification.message)) == notification.message
