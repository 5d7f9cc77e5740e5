"""A repository's webhook on GitHub: there, as Pulley wants it, and its deliveries taken."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.errors import NotTakenError
from chalicelib.core.webhook import FailedDelivery
from pulley.operator.checks.row import FAIL, WARN, Row, passed
from pulley.operator.webhooks import Ping, Webhooks, mend_of

LATELY = timedelta(days=1)


class Deliveries(Protocol):
    """What webhooks brought. Raises NotTakenError or UnavailableError."""

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        """What was not taken, and not since."""


def check_webhook(
    webhooks: Webhooks, deliveries: Deliveries, url: str, stage: str, *, now: datetime
) -> Iterator[Row]:
    """How the webhook that posts to this address stands. Raises UnavailableError."""
    repository = webhooks.repository
    what, connect = f"webhook of {repository}", f"pulley connect {repository}"
    try:
        hooks = webhooks.all()
        ours = [hook for hook in hooks if hook.posts_to(url)]
        failed = deliveries.failed_deliveries(now - LATELY) if ours else []
    except NotTakenError as error:
        mend = f"GITHUB_TOKEN=... pulley doctor, with a token that may read {repository}'s webhooks"
        yield Row(what, WARN, f"it cannot be looked at: {error}", mend)
        return
    if not ours:
        others = [hook.url for hook in hooks if hook.is_like(url)]
        words = f"none posts to {url or 'this stage'}"
        if others:
            words += f"; there is one to {', '.join(others)}"
        yield Row(what, FAIL, words, connect)
        return
    wrong = [difference for hook in ours for difference in hook.differences()]
    if len(ours) > 1:
        words = f"{len(ours)} post to the same address: each push comes {len(ours)} times"
        yield Row(what, WARN, words, f"delete all but one, in {repository}'s Settings, Webhooks")
    elif wrong:
        yield Row(what, FAIL, "; ".join(wrong), connect)
    elif failed:
        last = failed[-1]
        told = f"{last.status_code} {last.status}".strip()
        words = f"{len(failed)} of the last day were not taken; the last one: {told}"
        mend = f"{mend_of(Ping(last.status_code, last.status), stage)}. Then Redeliver"
        yield Row(what, FAIL, words, mend)
    else:
        yield passed(what, "as it should be, and its deliveries are taken")
