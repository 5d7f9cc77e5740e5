"""`pulley setup`: set a stage up once, and bring it up to date after each upgrade."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import read_secrets
from pulley.cli.options import REPOSITORY, FileType, json_option, stage_command, yes_option
from pulley.cli.output import confirm, note, say, say_json, warn
from pulley.cli.stored_changes import say_overwritten, warn_of_newer
from pulley.operator.people.policies import PeoplePolicy, check_sizes, people_policies
from pulley.operator.setup.apply import Done, Setup, build_own_document
from pulley.operator.setup.plan import (
    SECRET,
    Change,
    DocumentChange,
    ParameterChange,
    PolicyChange,
    WantedStage,
    parse_token,
)
from pulley.operator.setup.token_trial import try_token
from pulley.operator.stage.stage import Stage, read_targets
from pulley.operator.suggest import suggest
from pulley.operator.webhook.connect import is_connected
from pulley.project import find_project, is_other_release

_SIGNS = {"create": "+", "change": "~", "delete": "-"}


@stage_command
@click.option(
    "--github-token-file",
    "token_file",
    type=FileType("r"),
    help="Store the token for GitHub from this file. - is stdin: on a terminal you are asked.",
)
@click.option(
    "--repository",
    type=REPOSITORY,
    metavar="OWNER/REPO",
    help="The token is for this repository alone.",
)
@click.option(
    "--show-secret",
    is_flag=True,
    help="Print only the webhook's secret on stdout. All else goes to stderr.",
)
@click.option("--force", is_flag=True, help="Store the token even if GitHub rejects it.")
@click.option("--people", is_flag=True, help="Make the policies for people in IAM, too.")
@click.option(
    "--target",
    "names",
    multiple=True,
    metavar="TARGET",
    help="With --people: also a policy that deploys to this target alone. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and stop.")
@yes_option
@json_option
def setup(  # noqa: PLR0913 - each is an option
    stage: Stage,
    *,
    token_file: TextIO | None,
    repository: Repository | None,
    show_secret: bool,
    force: bool,
    people: bool,
    names: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Set a stage up in AWS, or upgrade it.

    The command shows what it will create or change, asks, and does it: the webhook's secret (made
    here, and not shown), a token for GitHub if you give one, your account's number in
    .chalice/policy-*, the SSM document that runs on the hosts, and last the document's pin: until
    then pushes use the old document. It leaves alone what is right already: run it as often as you
    like, and after each upgrade of Pulley. A token that replaces another one is tried first: if
    GitHub rejects it, nothing is stored.

    With --people it also makes three policies in IAM: pulley-STAGE-look, pulley-STAGE-deploy and
    pulley-STAGE-administer. Attach them to your people's roles: docs/people.md.

    \b
        pulley setup --stage prod --dry-run
        pulley setup --stage prod --github-token-file token.txt
        pulley setup --stage prod --show-secret | pbcopy
        pulley setup --stage prod --people --target web
    """  # noqa: D301 - click's mark against rewrapping
    _refuse_alone("--repository is for a token", "--github-token-file", repository, token_file)
    _refuse_alone("--target is for a policy for people", "--people", names, people)
    if show_secret and as_json:
        raise click.UsageError("--show-secret prints the secret alone, so not with --json")
    tell = note if show_secret or as_json else say
    token = _read_token(token_file) if token_file else ""
    wanted = replace(_wanted(stage, token, repository), people=_people(stage, names, wanted=people))
    work = Setup(stage, wanted)
    changes = work.plan()
    _tell_where(find_project())
    _tell_plan(stage, changes, tell)
    for change in changes:
        if isinstance(change, DocumentChange) and change.latest:
            warn_of_newer(change.name, change.latest.content)
    report = SetupReport(stage, changes)
    try:
        if changes and not dry_run:
            if not force:
                try_token(stage, changes, token, repository)
            confirm("Do it?", yes=yes)
            _apply(work, report, tell, yes=yes)
        if not dry_run:
            _tell_next(report, tell)
    finally:
        if as_json:
            say_json(report.content)
    if show_secret:
        _show_secret(stage)


def _refuse_alone(words: str, needed: str, given: object, other: object) -> None:
    if given and not other:
        raise click.UsageError(f"{words}: give {needed} too")


@dataclass
class SetupReport:
    """The JSON document: the plan, and how much of it was done."""

    stage: Stage
    changes: Sequence[Change]
    done: list[Done] = field(default_factory=list)
    next_steps: Sequence[str] = ()

    @property
    def content(self) -> Mapping[str, object]:
        """The document as a mapping."""
        return {
            "stage": self.stage.name,
            "account": self.stage.identity.account,
            "region": self.stage.ssm.meta.region_name,
            "changes": self.changes,
            "done": [
                {"what": one.change.what, "name": one.change.name, "words": one.words}
                for one in self.done
            ],
            "next": self.next_steps,
        }


def _wanted(stage: Stage, token: str, repository: Repository | None) -> WantedStage:
    found = find_project()
    return WantedStage(
        stage.name,
        content=build_own_document(),
        chalice=found / ".chalice" if found and not _is_emulated() else None,
        token=token,
        repository=repository,
    )


def _people(stage: Stage, names: Sequence[str], *, wanted: bool) -> tuple[PeoplePolicy, ...]:
    if not wanted:
        return ()
    stored = read_targets(stage) if names else None
    targets = [stored.named(name) for name in names] if stored else []
    policies = tuple(people_policies(stage.scope, targets))
    check_sizes(policies)
    return policies


def _tell_where(found: Path | None) -> None:
    """Say what the set-up leaves alone, and which script it stores."""
    if _is_emulated():
        note("AWS_ENDPOINT_URL is set: this account is emulated, so .chalice is left as it is.")
    if found and is_other_release(found):
        warn(
            f"this command was not installed from the clone of Pulley in {found}: it stores its "
            "own script. To install the command of that clone: pipx install --force . there"
        )
    if found is None and not _is_emulated():
        note(
            "This is not a clone of Pulley, so there are no policies to put the account's number "
            f"into: run {suggest('setup')} in a clone too, before chalice deploy."
        )


def _is_emulated() -> bool:
    """Whether AWS is emulated: then there is no `chalice deploy`, and .chalice stays as it is."""
    return bool(os.environ.get("AWS_ENDPOINT_URL"))


def _apply(work: Setup, report: SetupReport, tell: Callable[[str], None], *, yes: bool) -> None:
    for change in report.changes:
        try:
            done = work.apply(change)
        except PulleyError:
            if report.done:
                warn("the steps above were done. To continue, run the command again.")
            raise
        report.done.append(done)
        tell(f"Done: {change.what}: {change.name}: {done.words}")
        if done.written and isinstance(change, ParameterChange):
            is_secret = change.is_secret
            say_overwritten(report.stage.parameters, done.written, yes=yes, is_secret=is_secret)


def _tell_plan(stage: Stage, changes: Sequence[Change], tell: Callable[[str], None]) -> None:
    where = f"stage {stage.name}, account {stage.identity.account}, {stage.ssm.meta.region_name}"
    if not changes:
        tell(f"Nothing to do: {where} is up to date.")
        return
    tell(f"In {where}:")
    for change in changes:
        tell(f"  {_SIGNS[change.action]} {change.what}: {change.name}")
        tell(f"      {change.why}")
        for line in change.diff:
            tell(f"      {line}")


def _tell_next(report: SetupReport, tell: Callable[[str], None]) -> None:
    stage, is_emulated = report.stage, _is_emulated()
    stored = stage.stored.every_repository()
    tokens = [one.token for one in stored.values()] or [stage.stored_default_token()]
    behind = any(isinstance(change, PolicyChange | DocumentChange) for change in report.changes)
    has_new_secret = any(one.what == SECRET for one in report.changes)
    repositories = [one for one, settings in stored.items() if settings.targets]
    steps = next_steps(
        stage.name,
        is_deployed=is_emulated or bool(stage.webhook_url and not behind),
        has_tokens=all(tokens),
        repositories=repositories,
        connected=[one for one in repositories if not has_new_secret and is_connected(stage, one)],
        has_new_secret=has_new_secret,
    )
    report.next_steps = steps
    tell("Next:")
    for step in report.next_steps:
        tell(f"  {step}")


def next_steps(  # noqa: PLR0913 - each is a fact of its own
    stage: str,
    *,
    is_deployed: bool,
    has_tokens: bool,
    repositories: Sequence[Repository],
    connected: Sequence[Repository] = (),
    has_new_secret: bool,
) -> list[str]:
    """The commands to run after a set-up, without those that are known to be done.

    `repositories` are those with targets, `connected` those of them whose webhook needs nothing. A
    new secret must be set in all their webhooks.
    """
    force = ["--force"] if has_new_secret else []
    return [
        *([] if is_deployed else [f"chalice deploy --stage {stage}"]),
        *([] if has_tokens else [str(suggest("setup", "--github-token-file", "-"))]),
        *([] if repositories else [str(suggest("targets apply"))]),
        *([] if repositories else [str(suggest("connect", "OWNER/REPO"))]),
        *(str(suggest("connect", one, *force)) for one in repositories if one not in connected),
        str(suggest("doctor")),
    ]


def _read_token(file: TextIO) -> str:
    if file.isatty():
        return parse_token(click.prompt("Token for GitHub", hide_input=True, err=True))
    try:
        return parse_token(file.read())
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name}: is not text") from None


def _show_secret(stage: Stage) -> None:
    stored = stage.parameters.read_one(stage.names.webhook_secret)
    lines = read_secrets(stored.value) if stored else ()
    if not lines:
        note("There is no secret yet.")
        return
    sys.stdout.write(lines[0].decode() + "\n")
