"""What a topic is told: JSON that programs and Slack read, a subject that SNS takes."""

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


def told(status: DeploymentStatus = SUCCESS, *, cause: str = "push") -> Notification:
    """Of a commit on two hosts, of which the second is at another one."""
    command = command_of(count=2)
    assert command.roll_out
    command = replace(command, roll_out=replace(command.roll_out, cause=cause))
    verdict = verdict_on(command, on(1, line_of()), on(2, rolled_back(COMMIT)))
    return notification_of(verdict, status, stage=STAGE, environment="production", log_url=LOG_URL)


class TestNotificationOf:
    def test_subscriptions_filter_by_target_state_and_environment(self) -> None:
        assert told().attributes == {
            "target": "web",
            "state": "success",
            "environment": "production",
        }

    def test_people_read_one_line(self) -> None:
        line = f"web: success, {SUCCESS.description}"
        assert told().subject == line
        assert told().message["content"] == {
            "title": "octo/site 4d5e6f7: success",
            "description": line,
        }

    def test_message_is_a_custom_notification_as_chat_applications_take_it(self) -> None:
        message = told().message
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

    def test_what_is_not_known_is_left_out(self) -> None:
        metadata = told(cause="").message["metadata"]
        assert isinstance(metadata, dict)
        context = metadata["additionalContext"]
        assert "delivery" in context
        assert "cause" not in context
        assert all(isinstance(text, str) and text for text in context.values())

    def test_long_line_is_cut_for_the_subject_and_whole_in_the_message(self) -> None:
        status = DeploymentStatus("failure", "x" * 140)
        assert len(told(status).subject) <= MAX_SUBJECT
        assert "x" * 140 in json.dumps(told(status).message)

    @pytest.mark.parametrize(
        ("description", "subject"),
        [
            ("Ärger in der Küche", "web: failure, ?rger in der K?che"),
            ("two\nlines\r\n", "web: failure, two lines"),
            ("\x1b[31mred\x1b[0m <b>bold</b>", "web: failure, red bold"),
        ],
    )
    def test_subject_is_one_line_of_ascii(self, description: str, subject: str) -> None:
        assert told(DeploymentStatus("failure", description)).subject == subject

    @given(st.text())
    def test_no_description_makes_a_subject_that_sns_refuses(self, description: str) -> None:
        subject = told(DeploymentStatus("error", description)).subject
        assert 0 < len(subject) <= MAX_SUBJECT
        assert subject.isascii()
        assert subject.isprintable()
        assert subject[0] != " "

    def test_message_is_json(self) -> None:
        notification = told()
        assert json.loads(json.dumps(notification.message)) == notification.message
