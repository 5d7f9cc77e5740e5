"""SNS: one message for each finished deployment, to the subscribers of the stage's topic."""

import json
from typing import TYPE_CHECKING

from chalicelib.core.notifications import Notification
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class Topic:
    """Publishes to one topic."""

    def __init__(self, client: "SNSClient", arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, notification: Notification) -> None:
        """Publish the notification. Raises RefusedError or UnavailableError."""
        with calling("publishing a notification"):
            answer = self._client.publish(
                TopicArn=self._arn,
                Subject=notification.subject,
                Message=json.dumps(notification.message),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in notification.attributes.items()
                },
            )
            _ = answer["MessageId"]  # a proxy's page has no id, and raises here
