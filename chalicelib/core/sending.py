"""What reconciling sends: the requests of a plan, for the schedule and for an operator."""

from collections.abc import Sequence

from chalicelib.core.commands import DocumentPin, SendRequest, build_send_request
from chalicelib.core.plan import Send


def requests_of(
    sends: Sequence[Send],
    *,
    stage: str,
    issued: int,
    document_pin: DocumentPin | None,
    by: str = "",
) -> list[SendRequest]:
    """One for each, in their order. `issued` is in epoch milliseconds."""
    return [
        build_send_request(
            one.target,
            stage=stage,
            commit=one.wanted.commit,
            issued=issued,
            cause="reconcile",
            update=one.wanted.update,
            instance_ids=one.instance_ids,
            attempt=one.attempt,
            document_pin=document_pin,
            by=by,
        )
        for one in sends
    ]
