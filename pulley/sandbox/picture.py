"""The page with the state of a sandbox in it: a file that opens without a server."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chalicelib.core.commands import document_name
from chalicelib.core.decisions import Decision
from chalicelib.edges.command_history import CommandHistory
from chalicelib.edges.command_output import CommandOutput
from chalicelib.edges.hosts import HostDirectory
from chalicelib.edges.round_parameters import RoundParameters
from chalicelib.page.document import picture
from chalicelib.page.reading import Source, StageReading
from chalicelib.status.state import Surroundings
from pulley.sandbox.sandbox import STAGE, Sandbox


class _NoLog:
    """A log that nobody reads: the page shows what could not be read."""

    def note(self, decision: Decision) -> None:
        """Log nothing."""
        del decision


def reading_of(sandbox: Sandbox) -> StageReading:
    """Reads the sandbox as the page does."""
    ssm, api_url = sandbox.account.ssm, sandbox.github.api_url
    source = Source(
        surroundings=Surroundings(STAGE, ssm.meta.region_name, api_url),
        stored=RoundParameters(ssm, STAGE),
        directory=HostDirectory(sandbox.account.client("ec2"), ssm, STAGE),
        history=CommandHistory(ssm, document_name(STAGE)),
        outputs=CommandOutput(ssm),
        github_api=api_url,
        journal=_NoLog(),
    )
    return StageReading(source)


def write_picture(sandbox: Sandbox, path: Path) -> Path:
    """Write what `pulley open` would show now, and each target's past. Returns the path."""
    now, stage = datetime.now(UTC), reading_of(sandbox)
    state: Mapping[str, Any] = stage.state(now=now)
    names = [one["target"] for one in state["targets"]]
    past = {name: (stage.past(name, now=now) or {}).get("entries", []) for name in names}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture(state, past), encoding="utf-8")
    return path
