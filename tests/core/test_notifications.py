"""Notifications: JSON for programs and Slack, text for mail, and a subject that SNS accepts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.notifications import (
    MAX_SUBJECT,
    Notification,
    launch_notification,
    notification_of,
)
from chalicelib.core.status_text import status_of
from tests.fakes import COMMIT, GUID, STAGE
from tests.flows.runs import command_of, id_of, line_of, on, rolled_back, verdict_on

LOG_URL = "https://console/run-command"
# Administrator Guide of Amazon Q Developer in chat applications, "Custom notifications": the event
# schema and the parameters' details. A message that does not fit is dropped without an error.
_TEXT = {"type": "string", "minLength": 1}
_LIST = {"type": "array", "items": _TEXT, "minItems": 1}
CHAT_SCHEMA = {
    "type": "object",
    "required": ["version", "source", "content"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": "1.0"},
        "source": {"const": "custom"},
        "id": _TEXT,
        "content": {
            "type": "object",
            "required": ["description"],
            "additionalProperties": False,
            "properties": {
                "textType": {"const": "client-markdown"},
                "title": _TEXT,
                "description": _TEXT,
                "nextSteps": _LIST,
                "keywords": _LIST,
            },
        },
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "threadId": _TEXT,
                "summary": _TEXT,
                "eventType": _TEXT,
                "relatedResources": _LIST,
                "additionalContext": {"type": "object", "additionalProperties": _TEXT},
            },
        },
    },
}
SUCCESS = DeploymentStatus("success", "1 of 2 hosts at 4d5e6f7: web-1; 1 offline, will catch up")


def notification_for(status: DeploymentStatus = SUCCESS, *, cause: str = "push") -> Notification:
    """The notification of a commit with two hosts; the second host rolled back."""
    command = command_of(count=2)
    assert command.roll_out
    command = replace(command, roll_out=replace(command.roll_out, cause=cause))
    verdict = verdict_on(command, on(1, line_of()), on(2, rolled_back(COMMIT)))
    return notification_of(verdict, status, stage=STAGE, environment="production", log_url=LOG_URL)


def launch_for(
    done: str = "abandoned", *, host: str = "web-7", reason: str = "rolled back"
) -> Notification:
    return launch_notification(stage=STAGE, host=host, group="web", done=done, reason=reason)


class TestChat:
    """What Amazon Q Developer shows in Slack and Teams."""

    @pytest.mark.parametrize("state", ["success", "failure", "error", "inactive"])
    def test_deployment_is_a_custom_notification(self, state: str) -> None:
        message = notification_for(DeploymentStatus(state, "so")).message
        Draft202012Validator(CHAT_SCHEMA).validate(message)

    def test_deployment_without_a_cause_is_a_custom_notification(self) -> None:
        Draft202012Validator(CHAT_SCHEMA).validate(notification_for(cause="").message)

    @given(st.text())
    def test_any_description_is_a_custom_notification(self, description: str) -> None:
        message = notification_for(DeploymentStatus("failure", description)).message
        Draft202012Validator(CHAT_SCHEMA).validate(message)

    @pytest.mark.parametrize("done", ["abandoned", "continued"])
    def test_launch_is_a_custom_notification(self, done: str) -> None:
        Draft202012Validator(CHAT_SCHEMA).validate(launch_for(done).message)

    def test_words_of_a_host_that_is_launched_mention_nobody_and_link_nowhere(self) -> None:
        words = "<!channel> [Read the output](https://a.example) <https://a.example|more>\r\nx"
        made = launch_for(host=f"web-7 {words}", reason=words)
        said = json.dumps(made.message) + made.text
        assert not any(one in said for one in ("<", ">", "[Read", "\r", "\\r", "|"))

    @pytest.mark.parametrize("state", ["failure", "error"])
    def test_failure_has_the_way_to_the_output(self, state: str) -> None:
        content = notification_for(DeploymentStatus(state, "so")).message["content"]
        assert isinstance(content, dict)
        assert content["nextSteps"] == [f"Read the output: {LOG_URL}"]


class TestPage:
    """docs/operating.md shows what arrives."""

    PAGE = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    REGION = "eu-central-1"
    CONSOLE = f"https://{REGION}.console.aws.amazon.com/systems-manager/run-command"

    def failure(self) -> Notification:
        command = command_of(count=2)
        verdict = verdict_on(command, on(1, line_of()), on(2, rolled_back(COMMIT)))
        return notification_of(
            verdict,
            status_of(verdict),
            stage="prod",
            environment="production",
            log_url=f"{self.CONSOLE}/{verdict.command_id}?region={self.REGION}",
        )

    def test_mail_is_what_the_page_shows(self) -> None:
        sent = self.failure()
        assert f"the subject is `{sent.subject}`" in self.PAGE
        assert f"```text\n{sent.text}\n```" in self.PAGE

    def test_chat_is_what_the_page_shows(self) -> None:
        content = self.failure().message["content"]
        assert isinstance(content, dict)
        lines = [content["title"], content["description"], *content["nextSteps"]]
        assert "```text\n{}\n```".format("\n".join(lines)) in self.PAGE

    def test_json_is_what_the_page_shows(self) -> None:
        shown = json.dumps(self.failure().message, indent=2)
        assert f"```json\n{shown}\n```" in self.PAGE


class TestText:
    """What a mail shows below its subject."""

    def test_text_is_the_line_and_then_each_fact(self) -> None:
        assert notification_for().text.splitlines() == [
            f"web: success, {SUCCESS.description}",
            "",
            "target: web",
            "state: success",
            "environment: production",
            f"stage: {STAGE}",
            "repository: octo/site",
            f"commit: {COMMIT}",
            f"description: {SUCCESS.description}",
            "cause: push",
            f"delivery: {GUID}",
            f"command_id: {id_of(1)}",
            "hosts: 2",
            "hosts_at_commit: 1",
            f"log_url: {LOG_URL}",
        ]

    def test_text_of_a_launch_names_the_host_the_group_and_the_reason(self) -> None:
        assert launch_for().text == (
            "web-7: launch abandoned, rolled back\n\n"
            f"state: abandoned\ngroup: web\nstage: {STAGE}\nhost: web-7\nreason: rolled back"
        )


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
        subject = notification_for(status).subject
        assert len(subject) == MAX_SUBJECT
        assert subject.endswith("x...")
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
