"""Words for targets, hosts and roll-outs, the same in every command."""

from chalicelib.core.history import RollOut
from chalicelib.core.observations import (
    AT,
    CANCELLED,
    FAILED,
    NOT_BEGUN,
    OFFLINE,
    OVERTAKEN,
    RUNNING,
    WAITING,
    HostVerdict,
)
from chalicelib.core.targets import STAGE_TAG, Target
from pulley.cli.terminal import one_line

_STYLES = {AT: "green", FAILED: "red", CANCELLED: "red", RUNNING: "cyan"}


def host_words(verdict: HostVerdict, short: str) -> str:
    """The state of a host after a roll-out of the commit `short`."""
    said = one_line(verdict.words)
    if verdict.kind == AT:
        what = "updated" if verdict.updated else "there already"
        what = f"rolled back to {verdict.back_at}" if verdict.back_at else what
        return f"at {short}: {what}" + (f", {said}" if said else "")
    if verdict.kind == FAILED:
        back = f" (back at {verdict.back_at})" if verdict.back_at else ""
        return f"failed: {said}{back}"
    if verdict.kind == CANCELLED:
        return f"cancelled {said or 'before it began'}"
    return {
        OVERTAKEN: f"overtaken by {said or 'a newer command'}",
        OFFLINE: "offline: not reached",
        NOT_BEGUN: "not begun",
        RUNNING: "running",
        WAITING: "waiting: it has not begun",
    }[verdict.kind]


def host_style(verdict: HostVerdict) -> str:
    """The colour of a host's line."""
    return _STYLES.get(verdict.kind, "yellow")


def cause_words(roll_out: RollOut) -> str:
    """Why a commit was sent, and by whom."""
    cause = one_line(roll_out.cause) or "?"
    words = f"{cause} by {one_line(roll_out.by)}" if roll_out.by else cause
    words = f"recheck{words.removeprefix(cause)}" if roll_out.is_recheck else words
    words += f", attempt {roll_out.attempt}" if roll_out.attempt else ""
    return words + (", exact" if roll_out.update == "exact" else "")


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
