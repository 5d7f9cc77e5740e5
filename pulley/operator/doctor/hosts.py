"""Check the hosts of each target: that there are some, that they are online, what they report.

They report by the document's `Update=check`, which changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence

from chalicelib.core.errors import PulleyError
from chalicelib.core.history import Invocation
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.observations import failure_words
from chalicelib.core.results import Found, HostResult, ResultError, parse_result
from chalicelib.core.targets import Target
from pulley.operator.doctor.checkout_state import Place, check_place
from pulley.operator.doctor.nodes import AGENT_WITH_ENVIRONMENT, Node, Untagged
from pulley.operator.doctor.row import FAIL, UNKNOWN, WARN, Row, passed
from pulley.operator.hosts.ask import NoTagError
from pulley.operator.hosts.git_command import git_command
from pulley.operator.suggest import suggest

MIN_FREE_MIB = 200
LOW_FREE_MIB = 1024
_HINTS = {
    "no_checkout": "clone the repository there, as its owner: docs/getting-started.md says how",
    "unreachable": "on the host, as the checkout's owner: git ls-remote origin. Is there a deploy "
    "key, are GitHub's host keys known?",
    "missing_commit": "push the branch (or the tag), or name another in pulley.toml",
}


def check_hosts(
    target: Target,
    fleet: Fleet,
    nodes: Mapping[str, Node],
    untagged: Sequence[Untagged],
    stage: str,
) -> Iterator[Row]:
    """Check what is known of a target's hosts without asking them."""
    hosts = fleet.of(target)
    for one in untagged:
        yield Row(
            f"host {one.name}",
            WARN if hosts else FAIL,
            f"{one.instance_id} fits the target {target.name}, and lacks the tag pulley={stage}: "
            "Pulley may not reach it",
            f"aws ec2 create-tags --resources {one.instance_id} --tags Key=pulley,Value={stage}",
        )
    yield _hosts_of(target, hosts)
    for host in hosts:
        yield from _check_node(host, nodes.get(host.instance_id))


def _hosts_of(target: Target, hosts: Sequence[Host]) -> Row:
    what = f"target {target.name}: hosts"
    if hosts:
        return passed(what, f"{len(hosts)}, of which {sum(one.is_online for one in hosts)} online")
    return Row(
        what,
        FAIL,
        f"no host of this stage has {selection(target)}",
        "tag the instances (and the launch template), or see `instances` in pulley.toml",
    )


def selection(target: Target) -> str:
    """How a target selects its hosts, in words."""
    if target.instances.ids:
        return f"one of the ids {', '.join(target.instances.ids)}"
    tags = [f"{key}={' or '.join(values)}" for key, values in target.instances.tags]
    return f"the tags {', '.join(tags)}"


def _check_node(host: Host, node: Node | None) -> Iterator[Row]:
    what = f"host {host.name}"
    if node is None:
        yield Row(
            what,
            FAIL,
            "Systems Manager does not know it: no agent has registered",
            "see that the SSM agent is installed and runs, that the instance profile has "
            "AmazonSSMManagedInstanceCore, and that the host can reach Systems Manager",
        )
        return
    if not host.is_online:
        yield Row(
            what,
            FAIL,
            f"it is offline: {node.words}",
            "start the instance, or see amazon-ssm-agent on it",
        )
        return
    if node.platform and node.platform != "Linux":
        yield Row(what, FAIL, f"it runs {node.platform}", "Pulley needs Linux: remove the tags")
        return
    if node.agent < AGENT_WITH_ENVIRONMENT:
        version = ".".join(str(part) for part in node.agent)
        newer = ".".join(str(part) for part in AGENT_WITH_ENVIRONMENT)
        yield Row(
            what,
            WARN,
            f"its agent {version} is older than {newer}, and writes parameters into the script",
            f"aws ssm send-command --document-name AWS-UpdateSSMAgent --instance-ids "
            f"{host.instance_id}",
        )
        return
    yield passed(what, "online, its agent is new enough")


def check_invocation(
    target: Target,
    invocation: Invocation,
    place: Place | None = None,
    *,
    github: str = "github.com",
) -> Iterator[Row]:
    """Check what one host answered. `github` is the host name that people clone from."""
    what = f"host {invocation.host}: {target.checkout}"
    if invocation.is_refused:
        yield Row(what, FAIL, invocation.refusal, _other_release())
        return
    try:
        result = parse_result(invocation.output)
    except ResultError:
        words = f"it did not answer: {invocation.details or invocation.status}"
        yield Row(what, UNKNOWN, words, f"see amazon-ssm-agent's log on {invocation.instance_id}")
        return
    if result.outcome != "unchanged":
        yield _failed(what, result, target, remote_line(target, github))
    elif result.found is None:
        words = "it ran a document of an older release"
        yield Row(what, UNKNOWN, words, str(suggest("setup")))
    else:
        yield from _check_found(what, target, result.found, result, place or Place())


def remote_line(target: Target, github: str) -> str:
    """The command that sets the checkout's remote to the target's, on the host."""
    return f"{git_command(target)} remote set-url origin git@{github}:{target.repository}.git"


def _other_release() -> str:
    return f"{suggest('setup')}: the document is of another release"


def _failed(what: str, result: HostResult, target: Target, remote: str) -> Row:
    hint = _HINTS.get(result.outcome, "docs/host.md says what to do for each outcome")
    if result.outcome == "bad_parameter":
        hint = _other_release()
    elif result.fault == "git_version":
        hint = "install git 2.26 or newer on the host"
    elif result.fault in {"origin", "no_origin"}:
        verb = remote.replace(" set-url ", " add ") if result.fault == "no_origin" else remote
        hint = f"on the host: {verb}. Or see `repository` in pulley.toml"
    elif result.outcome == "no_checkout" and result.after is None and target.clone:
        hint = f"the next run clones it, as {target.owner}: {suggest('deploy', target.name)}"
    return Row(what, FAIL, failure_words(result), hint)


def _check_found(
    what: str, target: Target, found: Found, result: HostResult, place: Place
) -> Iterator[Row]:
    at = (result.after or "")[:7]
    misplaced = list(check_place(what, target, found, at, place))
    yield from misplaced
    free, is_well = found.free_mib, not misplaced
    if found.owner == "root":
        is_well = False
        yield Row(
            what,
            WARN,
            "it belongs to root, so everybody who can push runs code as root here",
            "chown -R it to a user of its own",
        )
    if free < LOW_FREE_MIB:
        is_well = False
        yield Row(
            what,
            FAIL if free < MIN_FREE_MIB else WARN,
            f"only {free} MiB are free on its disk",
            "make room on the host: a run needs room for the fetch and for the steps",
        )
    if is_well:
        words = f"at {at}, owner {found.owner}, git {found.git}, {free} MiB free"
        yield passed(what, words)


def no_answer(target: Target, host: Host) -> Row:
    """The row for a host of which Systems Manager has no answer."""
    words = "it was asked, and Systems Manager has no answer from it"
    hint = f"run this again; then see amazon-ssm-agent's log on {host.instance_id}"
    return Row(f"host {host.name}: {target.checkout}", UNKNOWN, words, hint)


def not_asked(target: Target, error: PulleyError) -> Row:
    """The row for a target whose check could not be sent."""
    what = f"target {target.name}: checkouts"
    if isinstance(error, NoTagError):
        words = f"no tag that fits {target.tag} was sent yet, so its hosts were not asked"
        return Row(what, WARN, words, f"push such a tag; {suggest('plan', target.name)} shows it")
    words = f"its hosts could not be asked: {error.in_full}"
    return Row(what, FAIL, words, str(suggest("setup")))
