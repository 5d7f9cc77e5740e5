"""Words for targets, the same in every command."""

from chalicelib.core.observations import (
    AT,
    CANCELLED,
    FAILED,
    RUNNING,
    HostVerdict,
)
from chalicelib.core.targets import STAGE_TAG, Target
from chalicelib.status.safe_text import one_line

_STYLES = {AT: "green", FAILED: "red", CANCELLED: "red", RUNNING: "cyan"}


def host_style(verdict: HostVerdict) -> str:
    """The colour of a host's line."""
    return _STYLES.get(verdict.kind, "yellow")


def follows(target: Target) -> str:
    """The branch that a target follows."""
    return f"{target.repository}, {target.line}"


def no_hosts(target: Target, stage: str) -> str:
    """Say that there is no host, and which instance would be one."""
    if target.instances.ids:
        which = f"is one of {', '.join(target.instances.ids)} and has the tag {STAGE_TAG}={stage}"
    else:
        tags = [f"{key}={' or '.join(values)}" for key, values in target.instances.tags]
        which = f"has the tags {', '.join([f'{STAGE_TAG}={stage}', *tags])}"
    return f"No host: no instance {one_line(which)}, in this account and region."


def secret_command(parameter: str) -> str:
    """The shell command that prints the newest secret in a parameter."""
    return (
        f"aws ssm get-parameter --name {parameter} --with-decryption --query Parameter.Value "
        "--output text | head -n 1"
    )


def short_id(command_id: str) -> str:
    """A command's id, shortened for people. --command-id takes it."""
    return command_id[:8]


def hosts(count: int) -> str:
    """A number of hosts, for people."""
    return "1 host" if count == 1 else f"{count} hosts"
