"""`pulley targets`: validate pulley.toml, compare it with what is stored, and store it."""

import json
from collections.abc import Sequence

import click

from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.fields import ProblemsError
from chalicelib.core.hosts import Fleet
from chalicelib.core.refs import Repository
from chalicelib.core.targets import TargetsError
from pulley.cli.group import NOT_WELL, NamedGroup
from pulley.cli.options import REPOSITORY, Function, json_option, stage_command, yes_option
from pulley.cli.output import confirm, note, say, say_json, say_whole, warn
from pulley.cli.stored_changes import say_overwritten
from pulley.operator.aws.parameters import LIMITS
from pulley.operator.launches.groups import Groups
from pulley.operator.stage.existing import NoStageError, check_is_there
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.suggest import suggest
from pulley.operator.targets.file import (
    FileTarget,
    parse_targets_file,
    write_targets_file,
)
from pulley.operator.targets.host_policy import host_policy
from pulley.operator.targets.plan import (
    ADDED,
    REMOVED,
    KeyChange,
    ListChange,
    leavers,
    plan_targets,
)
from pulley.operator.targets.store import TargetsStore
from pulley.operator.text_file import STDIN, read_text

PULLEY_TOML = "pulley.toml"
_SIGNS = {ADDED: "+", REMOVED: "-"}


def _file_argument(function: Function) -> Function:
    metavar = f"[{PULLEY_TOML}]"
    decorate = click.argument("file", default=PULLEY_TOML, type=click.Path(), metavar=metavar)
    return decorate(function)


@click.group(cls=NamedGroup)
def targets() -> None:
    """Manage targets: which hosts follow which branch.

    Write pulley.toml, `check` it, `apply` it; docs/targets.md has every key.
    """


@targets.command()
@_file_argument
@json_option
def check(file: str, *, as_json: bool) -> None:
    """Validate pulley.toml, without AWS.

    The command shows every problem at once, each with its path. - is stdin. It exits with 3 if
    there is a problem, and with 1 if the file cannot be read.
    """
    try:
        names = [one.target.name for one in _read(file)]
    except ProblemsError as error:
        if as_json:
            say_json({"file": file, "valid": False, "targets": [], "problems": error.problems})
        raise
    if as_json:
        say_json({"file": file, "valid": True, "targets": names, "problems": []})
    else:
        say(f"{file} is valid: {', '.join(names)}")
        named = [] if file == PULLEY_TOML else [file]
        if file != STDIN:
            note(f"To store them: {suggest('targets apply', *named)}")


@_file_argument
@click.option("--prune", is_flag=True, help="Remove stored targets that the file does not have.")
@click.option(
    "--repository",
    "repositories",
    type=REPOSITORY,
    multiple=True,
    metavar="OWNER/REPO",
    help="Compare this repository too, even if the file does not name it. Repeatable.",
)
@click.option(
    "--advanced",
    is_flag=True,
    help="Store a list of more than 4,096 bytes, which AWS charges for.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be stored, and stop.")
@yes_option
@json_option
def apply(  # noqa: PLR0913 - each is an option
    stage: Stage,
    *,
    file: str,
    prune: bool,
    repositories: tuple[Repository, ...],
    advanced: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Store the targets of pulley.toml.

    The command shows how the file differs from the stored targets, asks, and stores one parameter
    for each repository that the file names. Stored targets of these repositories that the file does
    not have are kept, unless you --prune them. Pushes use the new targets within a minute. The
    command exits with 3 if the file is not valid, by itself or together with the stored targets: no
    two targets of the stage may have the same name, or share a checkout on a host.

    \b
        pulley targets apply --dry-run
        pulley targets apply --prune --repository octo/old
    """  # noqa: D301 - click's mark against rewrapping
    read = _read(file, may_be_empty=bool(prune and repositories))
    store = TargetsStore(stage)
    stored, others = store.read({one.target.repository for one in read} | set(repositories))
    if not others and not any(one.read for one in stored):
        _warn_of_no_stage(stage)
    changes = plan_targets(read, stored, others, prune=prune, advanced=advanced)
    store.check_hosts(changes, others)
    store.check_forge(changes, others)
    store.check_tokens(changes, others)
    needed = [change for change in changes if change.is_needed]
    if not as_json:
        _tell_plan(stage, changes, needed)
    gone = leavers(changes)
    for name, words in store.holds(gone, now=utc_now()).items():
        stays = f"Its pin stays stored, and will hold any target named {name}."
        warn(f"{name} {gone[name]}, and is {words}. {stays}")
    versions: dict[Repository, int] = {}
    try:
        if needed and not dry_run:
            confirm("Store it?", yes=yes)
            _store(stage, store, needed, versions, yes=yes, quiet=as_json)
    finally:
        if as_json:
            say_json({"stage": stage.name, "repositories": changes, "stored": versions})
    if versions:
        for repository in store.to_connect(changes):
            note(f"Its webhook must send more events: {suggest('connect', repository)}")
        note(f"To see what that means for each host: {suggest('plan')}")


@click.argument("what", required=False, metavar="[TARGET]")
@json_option
def show(stage: Stage, *, what: str | None, as_json: bool) -> None:
    """Print the stored targets as pulley.toml has them.

    Without TARGET, the command prints all targets. TARGET is a target's name, or owner/repo for all
    targets of that repository. `pulley targets apply` accepts the output. The command exits with 3
    if a stored target is not valid.
    """
    every = shown = TargetsStore(stage).show()
    for problem in shown.problems:
        note(f"Error: {problem}", style="red")
    if not shown.entries and not shown.problems:
        check_is_there(stage.name, stage.parameters)
    if what:
        shown = every.only(what)
        if not shown.entries:
            there = f"there is {', '.join(every.names) or 'no target'}"
            raise click.ClickException(f"nothing valid is stored for {what}: {there}")
    if as_json:
        listed = [one for entries in shown.entries.values() for one in entries]
        say_json({"targets": listed, "problems": shown.problems})
    elif shown.entries:
        say_whole(write_targets_file(shown.entries).rstrip("\n"))
    elif not shown.problems:
        where = f"stage {stage.name} (account {stage.identity.account}, {stage.region})"
        note(f"No target is stored in {where}. Write pulley.toml, then: {suggest('targets apply')}")
    if shown.problems:
        raise click.exceptions.Exit(NOT_WELL)


@click.argument("name", metavar="TARGET")
@click.option("--group", "only", help="Only this group, also if nothing says that it is ours.")
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and stop.")
@yes_option
@json_option
def launch_hook(  # noqa: PLR0913 - each is an option
    stage: Stage, *, name: str, only: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Keep new instances out of service until they have their commit.

    The command finds the Auto Scaling groups that launch hosts of TARGET: by the tags that their
    instances get, and by the hosts that are there. It shows what each lacks, asks, and gives it the
    tag `pulley` with the stage's name, and a lifecycle hook, pulley-STAGE. From then on an instance
    that the group launches waits (Pending:Wait) until it was seen at what each of its targets
    wants; it takes traffic only then. If its steps fail, the group replaces it, unless the target
    says launch = "continue". After 30 minutes without a word the group replaces it too.

    A group that has the tags of TARGET, but neither the tag `pulley` nor a host of the stage, may
    be somebody else's: it is changed only if --group names it.

    The command exits with 1 if no group launches hosts of TARGET.
    """
    stored = read_targets(stage)
    target = stored.named(name)
    groups = Groups(stage.auto_scaling, stage.name)
    found = groups.of(target, Fleet(stage.directory.hosts(), stage.name))
    found = [one for one in found if only in {None, one.name}]
    if not found:
        named = f"named {only} " if only else ""
        raise UnavailableError(
            f"no Auto Scaling group {named}of {stage.region} launches hosts of {target.name}: the "
            "group's own tags that its instances get must be those of the target's `instances`; "
            "the tags of a launch template are not looked at"
        )
    groups.check(found)
    needed = [one for one in found if one.missing(stage.name)]
    foreign = [one for one in needed if not only and not one.tag and not one.has_hosts]
    needed = [one for one in needed if one not in foreign]
    if not as_json:
        for one in found:
            words = "; ".join(one.missing(stage.name))
            left = "left alone, because it may be somebody else's (see --group): "
            words = f"lacks {words}" if words else "nothing to do"
            say(f"{one.name}: {left if one in foreign else ''}{words}")
    if needed and not dry_run:
        confirm("Change it?" if len(needed) == 1 else "Change them?", yes=yes)
        for one in needed:
            groups.prepare(one)
            if not as_json:
                say(f"{one.name}: its instances wait until they have their commit")
    if as_json:
        rows = [
            {
                "group": one.name,
                "missing": one.missing(stage.name),
                "changed": one in needed and not dry_run,
            }
            for one in found
        ]
        say_json({"stage": stage.name, "groups": rows})


@click.argument("name", metavar="TARGET")
def show_host_policy(stage: Stage, *, name: str) -> None:
    """Print the policy that the role of TARGET's hosts needs for `drain`.

    It allows exactly the target groups of `drain`, beside AWS's own policy for managed instances.
    The command exits with 1 if TARGET needs no such policy.

    \b
        pulley targets host-policy web >drain.json
        aws iam put-role-policy --role-name ROLE --policy-name pulley-drain \\
            --policy-document file://drain.json
    """  # noqa: D301 - click's mark against rewrapping
    target = read_targets(stage).named(name)
    policy = host_policy(target)
    if policy is None:
        raise UnavailableError(f"{target.name} has no `drain`, so its hosts need no such policy")
    say_json(policy)


targets.add_command(stage_command(apply), "apply")
targets.add_command(stage_command(show_host_policy), "host-policy")
targets.add_command(stage_command(launch_hook), "launch-hook")
targets.add_command(stage_command(show), "show")


def _warn_of_no_stage(stage: Stage) -> None:
    """Warn if the stage has no parameters: its name may be wrong, or it is not set up yet."""
    try:
        check_is_there(stage.name, stage.parameters)
    except NoStageError as error:
        warn(str(error))


def _read(file: str, *, may_be_empty: bool = False) -> Sequence[FileTarget]:
    found = parse_targets_file(read_text(file), file)
    if not found and not may_be_empty:
        raise TargetsError([f"{file}: has no targets; write a table like [targets.web]"])
    return found


def _store(  # noqa: PLR0913
    stage: Stage,
    store: TargetsStore,
    needed: Sequence[ListChange],
    versions: dict[Repository, int],
    *,
    yes: bool,
    quiet: bool,
) -> None:
    for change in needed:
        try:
            written = store.write(change)
        except PulleyError:
            if versions:
                warn("the lists above were stored. To continue, run the command again.")
            raise
        versions[change.repository] = written.version
        if not quiet:
            say(f"Stored: {written.name}, version {written.version}")
        say_overwritten(stage.parameters, written, yes=yes, tier=change.tier)


def _tell_plan(stage: Stage, changes: Sequence[ListChange], needed: Sequence[ListChange]) -> None:
    for change in changes:
        if not change.is_needed and not change.kept:
            continue
        limit = LIMITS[change.tier]
        say(f"{change.repository}: {change.bytes:,} of {limit:,} bytes")
        for problem in change.replaced:
            say(f"  ! replaces what is stored, which is not valid: {problem}")
        for one in change.changes:
            say(f"  {_SIGNS.get(one.action, '~')} {one.name}")
            if one.action != REMOVED:
                for key in one.keys:
                    say(f"      {key_in_words(key, is_new=one.action == ADDED)}")
        if change.kept:
            names = ", ".join(change.kept)
            say(f"  = kept, though not in the file (--prune removes it): {names}")
    if not needed:
        say(f"Nothing to do: the targets of stage {stage.name} are as in the file.")


def key_in_words(change: KeyChange, *, is_new: bool) -> str:
    """A key's line in the plan."""
    before, after = _value(change.before), _value(change.after)
    return f"{change.key}: {after}" if is_new else f"{change.key}: {before} -> {after}"


def _value(value: object) -> str:
    return "(not written)" if value is None else json.dumps(value)
