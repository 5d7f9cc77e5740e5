"""A wake: the event with which another function starts a round, for one repository or one host.

Lambda gives it to the function that the schedule calls. So it has each field that Chalice's
CloudWatchEvent reads; a field that nobody uses is empty.
"""

from collections.abc import Mapping

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import InstanceId, RefError, Repository, shown

SOURCE, DETAIL_TYPE = "pulley", "Wake"
Woken = Repository | InstanceId  # a round for the targets of a repository, or for those of a host


class WakeError(PulleyError):
    """A wake that names no valid repository or host. The message says what it names."""


def reconciler_name(stage: str) -> str:
    """What Chalice calls the function that runs rounds, in Lambda."""
    return f"pulley-{stage}-reconcile_targets"


def build_wake(of: Woken) -> dict[str, object]:
    """Build the event that starts a round."""
    return {
        "version": "0",
        "id": "",
        "detail-type": DETAIL_TYPE,
        "source": SOURCE,
        "account": "",
        "time": "",
        "region": "",
        "resources": [],
        "detail": {"repository" if isinstance(of, Repository) else "instance": str(of)},
    }


def parse_wake(event: object) -> Woken | None:
    """Parse an event, which may be anything. None for an event that is not a wake.

    Raises WakeError for a wake without a valid name: it must not pass for the schedule's.
    """
    fields = event if isinstance(event, Mapping) else {}
    if fields.get("source") != SOURCE or fields.get("detail-type") != DETAIL_TYPE:
        return None
    detail = fields.get("detail")
    named = detail if isinstance(detail, Mapping) else {}
    instance, name = named.get("instance"), named.get("repository")
    if isinstance(instance, str):
        found = InstanceId.read(instance)
        if not found:
            raise WakeError(f"the instance of a wake must be like i-0abc, not {shown(instance)}")
        return found
    if not isinstance(name, str):
        raise WakeError(f"a wake must name a repository, not {shown(name)}")
    try:
        return Repository.parse(name)
    except RefError as error:
        raise WakeError(f"the repository of a wake {error}") from None
