"""Where the parts are joined: settings from the environment, and the one place that builds clients.

Built at the first delivery, not at import: `chalice package` imports the app without a region.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from chalicelib.core.errors import UnavailableError
from chalicelib.core.webhook import Delivery
from chalicelib.edges.aws import Deadline, build_ssm_client
from chalicelib.edges.parameters import ParameterStore
from chalicelib.edges.run_command import RunCommand
from chalicelib.flows.receive import Accepted, Ignored, Receiver


@dataclass(frozen=True)
class Settings:
    """What a Chalice stage sets."""

    stage: str
    allow_sha1: bool

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """From the environment variables. Raises UnavailableError."""
        stage = environ.get("PULLEY_STAGE", "")
        if not re.fullmatch("[A-Za-z0-9_-]{1,30}", stage):
            raise UnavailableError(
                "this stage is not set up",
                detail="PULLEY_STAGE must be set in .chalice/config.json: letters, digits, _ and -",
            )
        return cls(stage=stage, allow_sha1=environ.get("PULLEY_ALLOW_SHA1") == "1")


def receive(delivery: Delivery) -> Ignored | Accepted:
    """Act on a delivery that came now. Raises what Receiver.receive does."""
    receiver, deadline = _receiver()
    deadline.restart()
    return receiver.receive(delivery, now=datetime.now(UTC))


@cache
def _receiver() -> tuple[Receiver, Deadline]:
    """Kept as long as Lambda keeps the process, with the connections and what it remembers."""
    settings = Settings.from_environ(os.environ)
    deadline = Deadline()
    client = build_ssm_client(deadline)
    receiver = Receiver(
        stage=settings.stage,
        allow_sha1=settings.allow_sha1,
        parameters=ParameterStore(client, settings.stage),
        commands=RunCommand(client),
    )
    return receiver, deadline
