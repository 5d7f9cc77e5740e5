"""A ping of a webhook: how it was answered, which secret signed it, and what to do where it failed.

GitHub records the answer with the delivery. Pulley's own has the secret in fields.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.core.refs import Repository
from chalicelib.core.stored import PREFIX, SigningSecret
from pulley.operator.suggest import suggest

_MOST_SAID = 300  # characters of an answer
# How a Lambda of before says it, whose answer has no field `secret`. Read until 2026-12-28.
_OLD_WORDS = re.compile(r"; signed with (an older|the newest) secret of (\S+)$")


@dataclass(frozen=True)
class Ping:
    """What became of a ping. `code` is 0 where nobody answered; `status` are GitHub's words.

    `said` is the answer's reason or error: Pulley's, where the address is Pulley's. `secret` is the
    one that, Pulley says, signed the ping; None where the answer does not say.
    """

    code: int
    status: str
    said: str = ""
    secret: SigningSecret | None = None

    @property
    def is_green(self) -> bool:
        """Whether it was taken."""
        return 200 <= self.code < 300

    @property
    def opened_by(self) -> str:
        """The parameter that, Pulley says, has the secret that signed it; "" where none is said."""
        return self.secret.parameter if self.is_green and self.secret else ""

    def has_newest_of(self, parameter: str) -> bool:
        """Whether Pulley says that the newest of the parameter's secrets signed it."""
        return self.is_green and self.secret == SigningSecret(parameter, 0)


NOT_RECORDED = Ping(0, "GitHub has not recorded an answer yet")


def parse_ping(delivery: Mapping[str, Any]) -> Ping:
    """From the ping's delivery as GitHub shows it; the answer in it may be anything."""
    code, response = delivery.get("status_code"), delivery.get("response")
    payload = response.get("payload") if isinstance(response, dict) else None
    body = _parse_answer(payload)
    return Ping(
        code=code if type(code) is int else 0,
        status=str(delivery.get("status") or "")[:_MOST_SAID],
        said=_said(body, payload),
        secret=_signing_secret(body),
    )


def mend_of(ping: Ping, stage: str, repository: Repository) -> str:
    """What to do where a ping was not taken."""
    wrong_place = (
        "the address or the stage is wrong, or nothing is deployed there: "
        f"chalice deploy --stage {stage}, then {suggest('connect', repository)} again"
    )
    mends = {
        0: "can GitHub reach the address? The webhook's Recent Deliveries on GitHub say more",
        401: "the webhook's secret is not the stored one: "
        f"{suggest('connect', repository, '--force')} sets it",
        403: wrong_place,
        404: wrong_place,
        502: f"AWS refused the function something: {suggest('doctor')} looks at its role",
        503: f"is a secret stored, are the targets valid? {suggest('setup')}, then "
        f"{suggest('doctor')}",
    }
    return mends.get(ping.code, f"the log says why: /aws/lambda/pulley-{stage}")


def _parse_answer(payload: object) -> Mapping[str, Any] | None:
    """An answer's body, which may be anything; None where it is no JSON object."""
    try:
        body = json.loads(payload) if isinstance(payload, str) else payload
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _said(body: Mapping[str, Any] | None, payload: object) -> str:
    """The reason or the error in an answer's body; the body itself if it is no JSON object."""
    if body is None:
        return str(payload or "")[:_MOST_SAID]
    return str(body.get("error") or body.get("ignored") or body.get("message") or "")[:_MOST_SAID]


def _signing_secret(body: Mapping[str, Any] | None) -> SigningSecret | None:
    """Which secret signed the ping, as Pulley's answer says."""
    body = body or {}
    told = body.get("secret")
    if isinstance(told, dict):
        parameter, position = told.get("parameter"), told.get("position")
        if isinstance(parameter, str) and type(position) is int:
            return SigningSecret(PREFIX + parameter, position)
    words = _OLD_WORDS.search(str(body.get("ignored") or ""))
    return SigningSecret(PREFIX + words[2], int(words[1] == "an older")) if words else None
