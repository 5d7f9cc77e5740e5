"""Check for how long the newest commit of a target waits for its checks."""

from collections.abc import Callable, Iterator
from datetime import datetime

from chalicelib.core.refs import CommitSha
from chalicelib.core.waiting import OPEN
from chalicelib.flows.gated_deployments import PATIENCE
from chalicelib.status.overview import Standing
from pulley.operator.doctor.row import WARN, Row
from pulley.operator.suggest import suggest


def check_waiting(
    standing: Standing, committed_at: Callable[[CommitSha], datetime], *, now: datetime
) -> Iterator[Row]:
    """Warn of a commit that has waited for its checks for more than a day. `now` is aware."""
    waiting = standing.waiting
    closed = [one for one in waiting.gates if one.state != OPEN] if waiting else []
    checks = next((one for one in closed if one.name == "checks"), None)
    if waiting is None or checks is None:
        return
    since = committed_at(waiting.commit)
    if now - since < PATIENCE:
        return
    words = f"{waiting.commit.short} of {since:%Y-%m-%d %H:%M} {checks.reason}"
    hint = (
        "see that each name in `checks` is one that GitHub shows on the commit; "
        f"`{suggest('deploy', standing.target.name, '--now', '--reason', 'WHY')}` skips them"
    )
    yield Row(f"checks of {standing.target.name}", WARN, words, hint)
