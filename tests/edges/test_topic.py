"""SNS: the message that a subscriber gets, against moto, and the errors of a failure."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.notifications import Notification
from chalicelib.edges.topic import Topic
from tests.edges.clients import REGION, new_sns

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

ARN = f"arn:aws:sns:{REGION}:{DEFAULT_ACCOUNT_ID}:deploys"
NOTIFICATION = Notification(
    subject="web: success, 2 of 2 hosts at 4d5e6f7",
    text="web: success, 2 of 2 hosts at 4d5e6f7\n\nenvironment: Zürich ☂",
    message={"version": "1.0", "source": "custom", "content": {"title": "Zürich ☂"}},
    attributes={"target": "web", "state": "success", "environment": "Zürich ☂"},
)


@pytest.fixture
def client() -> Iterator["SNSClient"]:
    with mock_aws():
        client = new_sns()
        client.create_topic(Name="deploys")
        yield client


class TestTopicPublish:
    def sent(self) -> list[tuple[Any, ...]]:
        notifications: list[tuple[Any, ...]] = (
            sns_backends[DEFAULT_ACCOUNT_ID][REGION].topics[ARN].sent_notifications
        )
        return notifications

    def test_subscriber_gets_a_json_message_a_subject_and_attributes(
        self, client: "SNSClient"
    ) -> None:
        Topic(client, ARN).publish(NOTIFICATION)
        ((_id, message, subject, attributes, _group),) = self.sent()
        assert json.loads(json.loads(message)["default"]) == NOTIFICATION.message
        assert subject == NOTIFICATION.subject
        assert {name: tuple(one.values()) for name, one in attributes.items()} == {
            name: ("String", text) for name, text in NOTIFICATION.attributes.items()
        }

    def test_program_gets_the_json_itself(self, client: "SNSClient") -> None:
        sqs = boto3.client("sqs", region_name=REGION)
        queue = sqs.create_queue(QueueName="readers")["QueueUrl"]
        client.subscribe(
            TopicArn=ARN,
            Protocol="sqs",
            Endpoint=f"arn:aws:sqs:{REGION}:{DEFAULT_ACCOUNT_ID}:readers",
            Attributes={"RawMessageDelivery": "true"},
        )
        Topic(client, ARN).publish(NOTIFICATION)
        (received,) = sqs.receive_message(QueueUrl=queue)["Messages"]
        assert json.loads(received["Body"]) == NOTIFICATION.message

    def test_mail_gets_the_text_and_a_phone_the_subject(self, client: "SNSClient") -> None:
        Topic(client, ARN).publish(NOTIFICATION)
        ((_id, message, *_),) = self.sent()
        parts = json.loads(message)
        assert (parts["email"], parts["sms"]) == (NOTIFICATION.text, NOTIFICATION.subject)

    def test_missing_topic_is_a_refusal(self, client: "SNSClient") -> None:
        with pytest.raises(RefusedError) as caught:
            Topic(client, f"{ARN}-of-yesterday").publish(NOTIFICATION)
        assert str(caught.value) == "AWS refused publishing a notification (NotFound)"

    @pytest.mark.parametrize(
        ("code", "status", "kind"),
        [
            ("AuthorizationError", 403, RefusedError),
            ("InvalidParameter", 400, RefusedError),
            ("KMSAccessDenied", 400, RefusedError),
            ("Throttled", 429, UnavailableError),
            ("ThrottlingException", 400, UnavailableError),
            ("InternalError", 500, UnavailableError),
        ],
    )
    def test_failure_is_a_refusal_or_unavailable_by_its_code(
        self, code: str, status: int, kind: type[RefusedError | UnavailableError]
    ) -> None:
        client = new_sns()
        with Stubber(client) as stubber:
            stubber.add_client_error("publish", code, f"on {ARN}", status)
            with pytest.raises(kind, match="publishing a notification") as caught:
                Topic(client, ARN).publish(NOTIFICATION)
        assert ARN not in str(caught.value)
        assert ARN in caught.value.detail

    def test_failure_before_the_network_is_unavailable(self) -> None:
        client = new_sns()

        def refuse(**_event: object) -> None:
            raise NoCredentialsError

        client.meta.events.register("before-send.sns", refuse)
        with pytest.raises(UnavailableError, match="AWS could not be reached for publishing"):
            Topic(client, ARN).publish(NOTIFICATION)
