"""The ping of a webhook: its answer, the secret that signed it, and what to do if it failed.

GitHub records the answer with the delivery. Pulley's answer has the secret as data.
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
# An older Lambda's answer has no field `secret`, but these words. Read until 2026-12-28.
_OLD_WORDS = re.compile(r"; signed with (an older|the newest) secret of (\S+)$")


@dataclass(frozen=True)
class Ping:
    """The recorded answer to a ping. `code` is 0 if nobody answered; `status` is GitHub's text.

    `said` is the reason or the error in the answer. `secret` is the one that signed the ping, by
    Pulley's answer; None if the answer does not say.
    """

    code: int
    status: str
    said: str = ""
    secret: SigningSecret | None = None

    @property
    def is_green(self) -> bool:
        """Whether the ping was accepted."""
        return 200 <= self.code < 300

    @property
    def opened_by(self) -> str:
        """The parameter of the secret that signed the ping, by Pulley's answer; or ""."""
        return self.secret.parameter if self.is_green and self.secret else ""

    def has_newest_of(self, parameter: str) -> bool:
        """Whether the parameter's newest secret signed the ping, by Pulley's answer."""
        return self.is_green and self.secret == SigningSecret(parameter, 0)


NOT_RECORDED = Ping(0, "GitHub has not recorded an answer yet")


def parse_ping(delivery: Mapping[str, Any]) -> Ping:
    """Parse the delivery of a ping from GitHub. The answer in it may be anything."""
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
    """What to do if a ping was not accepted."""
    wrong_place = (
        "the address or the stage is wrong, or nothing is deployed there: "
        f"chalice deploy --stage {stage}, then {suggest('connect', repository)} again"
    )
    hints = {
        0: "can GitHub reach the address? The webhook's Recent Deliveries on GitHub say more",
        401: "the webhook's secret is not the stored one: "
        f"{suggest('connect', repository, '--force')} sets it",
        403: wrong_place,
        404: wrong_place,
        502: f"AWS refused the function something: {suggest('doctor')} looks at its role",
        503: f"is a secret stored, are the targets valid? {suggest('setup')}, then "
        f"{suggest('doctor')}",
    }
    return hints.get(ping.code, f"the log says why: /aws/lambda/pulley-{stage}")


def _parse_answer(payload: object) -> Mapping[str, Any] | None:
    """Parse the body of an answer; None if it is not a JSON object."""
    try:
        body = json.loads(payload) if isinstance(payload, str) else payload
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _said(body: Mapping[str, Any] | None, payload: object) -> str:
    """The reason or the error in an answer's body; the whole body if it is not a JSON object."""
    if body is None:
        return str(payload or "")[:_MOST_SAID]
    return str(body.get("error") or body.get("ignored") or body.get("message") or "")[:_MOST_SAID]


def _signing_secret(body: Mapping[str, Any] | None) -> SigningSecret | None:
    """The secret that signed the ping, by Pulley's answer."""
    body = body or {}
    told = body.get("secret")
    if isinstance(told, dict):
        parameter, position = told.get("parameter"), told.get("position")
        if isinstance(parameter, str) and type(position) is int:
            return SigningSecret(PREFIX + parameter, position)
    words = _OLD_WORDS.search(str(body.get("ignored") or ""))
    return SigningSecret(PREFIX + words[2], int(words[1] == "an older")) if words else None
