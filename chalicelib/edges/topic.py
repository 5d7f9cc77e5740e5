"""SNS: one message a finished deployment, for whoever subscribes to the stage's topic."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.notifications import Notification
from chalicelib.edges.aws import error_for

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class Topic:
    """Publishes to one topic."""

    def __init__(self, client: "SNSClient", arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, notification: Notification) -> None:
        """Raises RefusedError or UnavailableError."""
        try:
            self._client.publish(
                TopicArn=self._arn,
                Subject=notification.subject,
                Message=json.dumps(notification.message),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in notification.attributes.items()
                },
            )
        except (BotoCoreError, ClientError) as error:
            raise error_for("publishing a notification", error) from None
