"""SNS: one message to the subscribers of the stage's topic."""

import json
from typing import TYPE_CHECKING

from chalicelib.core.notifications import Notification
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class Topic:
    """One topic."""

    def __init__(self, client: "SNSClient", arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, notification: Notification) -> None:
        """Publish. Raises RefusedError or UnavailableError."""
        with calling("publishing a notification"):
            answer = self._client.publish(
                TopicArn=self._arn,
                Subject=notification.subject,
                MessageStructure="json",
                Message=json.dumps(
                    {
                        "default": json.dumps(notification.message),
                        "email": notification.text,
                        "sms": notification.subject,
                    }
                ),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in notification.attributes.items()
                },
            )
            _ = answer["MessageId"]  # a proxy's page has no id, and raises here
