"""What stays on the hosts after an uninstall, and the commands that remove it.

An uninstall changes no host: the checkout, the application and what people did there are theirs.
docs/host.md lists what the script keeps. What was set aside for people (refs/pulley/saved) stays,
too: it may be the only copy of somebody's work.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.core.targets import STAGE_TAG, Target


@dataclass(frozen=True)
class OnHosts:
    """What a target leaves in its checkout on its hosts, and the command that removes it there."""

    target: str
    checkout: str
    command: str


def on_hosts(targets: Sequence[Target], stage: str) -> list[OnHosts]:
    """A command for each target."""
    return [OnHosts(one.name, one.checkout, command_of(one, stage)) for one in targets]


def script_of(checkout: str) -> list[str]:
    """What root runs on a host, line by line: forget the marker, the logs and the deployed refs.

    In the checkout it acts as its owner: git refuses a checkout of somebody else, and root must not
    obey what is in it. The lines have no single quotes, so that the whole can stand in some.
    """
    return [
        f"set -e; cd {shlex.quote(checkout)}",
        'as_owner() { runuser -u "$(stat -c %U .)" -- "$@"; }',
        "git_dir=$(as_owner git rev-parse --absolute-git-dir)",
        'as_owner rm -rf "$git_dir/pulley"',
        (
            'as_owner git for-each-ref --format="delete %(refname)" refs/pulley'
            ' | grep -v " refs/pulley/saved/" | as_owner git update-ref --stdin'
        ),
    ]


def command_of(target: Target, stage: str) -> str:
    """The line to type. It needs no document of Pulley's, so it works after the uninstall, too."""
    if target.instances.ids:
        hosts = " ".join(["--instance-ids", *target.instances.ids])
    else:
        tags = [(STAGE_TAG, (stage,)), *target.instances.tags]
        selectors = [f"Key=tag:{key},Values={','.join(values)}" for key, values in tags]
        hosts = " ".join(["--targets", *map(shlex.quote, selectors)])
    parameters = shlex.quote(json.dumps({"commands": script_of(target.checkout)}))
    return (
        f"aws ssm send-command --document-name AWS-RunShellScript {hosts} --parameters {parameters}"
    )
