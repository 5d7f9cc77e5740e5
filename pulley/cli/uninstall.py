"""`pulley uninstall`: take a stage away, and say what is left."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import click

from chalicelib.core.errors import PulleyError
from chalicelib.status.safe_text import one_line
from pulley.cli.group import FAILED, NOT_WELL
from pulley.cli.options import json_option, stage_command, url_option, yes_option
from pulley.cli.output import (
    confirm_by_name,
    note,
    note_whole,
    say,
    say_json,
    say_whole,
    warn,
)
from pulley.operator.stage.stage import Stage
from pulley.operator.suggest import suggest
from pulley.operator.uninstall.found import Removal
from pulley.operator.uninstall.uninstall import Look, Uninstall
from pulley.operator.webhook.hooks import is_webhook_url
from pulley.project import find_project

Tell = Callable[[str], None]


@stage_command
@url_option
@click.option("--force", is_flag=True, help="Do it even if a deployment or a launch is under way.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and stop.")
@yes_option
@json_option
def uninstall(  # noqa: PLR0913 - each is an option
    stage: Stage, url: str | None, *, force: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Remove everything that Pulley made for a stage.

    The command looks in AWS and on GitHub, shows what it found, asks for the stage's name, and
    removes it: the webhooks, the launch hooks, the app (its CloudFormation stack, or what chalice
    deploy made) with its logs, the document, and the stage's parameters, the secrets last. Then it
    looks again, and says what is left. If it fails, run it again: it goes on with what is there.

    A webhook is deleted with the token in GITHUB_TOKEN or GH_TOKEN, else with the stored one. The
    token needs the permission Webhooks: write. What is left to you, such as the webhook of a
    repository without a token, is named, with what to do. Hosts, checkouts and applications stay
    as they are; the command prints what removes Pulley's notes there. Other stages are not touched.

    The command refuses while a deployment is under way or an instance is being launched. --force
    does it all the same: a host that has not begun then stays where it is, and GitHub is not told
    how the deployment ended.
    """
    if url and not is_webhook_url(url):
        raise click.BadParameter("must be https and end in /github", param_hint="--url")
    is_emulated = bool(os.environ.get("AWS_ENDPOINT_URL"))  # then .chalice is not this account's
    project = None if is_emulated else find_project()
    work = Uninstall(stage, url=url or "", project=project)
    report = Report(stage, work.look())
    tell: Tell = note if as_json else say
    try:
        _tell_plan(work, report, tell)
        if dry_run or not report.look.found.removals:
            return
        _refuse(report.look, force=force)
        confirm_by_name(f"Remove the stage {stage.name}?", stage.name, yes=yes)
        _apply(work, report, tell, force=force)
        report.remaining = work.look().found.removals
    finally:
        if as_json:
            say_json(report.content)
    _tell_end(report, tell)


@dataclass
class Report:
    """The JSON document: the plan, how much of it was done, and what was there at the end."""

    stage: Stage
    look: Look
    done: list[Removal] = field(default_factory=list)
    remaining: Sequence[Removal] | None = None

    @property
    def place(self) -> str:
        """Where the stage is, for people."""
        identity, region = self.stage.identity, self.stage.region
        return f"stage {self.stage.name}, account {identity.account}, {region}"

    @property
    def content(self) -> Mapping[str, object]:
        """The document as a mapping. `remaining` is null if nobody looked again."""
        return {
            "stage": self.stage.name,
            "account": self.stage.identity.account,
            "region": self.stage.region,
            "under_way": self.look.holding,
            "pins": self.look.pins,
            "removals": self.look.found.removals,
            "left": self.look.found.left,
            "on_hosts": self.look.hosts,
            "done": [{"what": one.what, "name": one.name} for one in self.done],
            "remaining": self.remaining,
        }


def _tell_plan(work: Uninstall, report: Report, tell: Tell) -> None:
    look = report.look
    if not look.found.removals:
        tell(f"Nothing to do: nothing is left of {report.place}.")
        if others := work.other_stages():
            note(f"Other stages there: {', '.join(others)}.")
    else:
        for words in look.pins:
            warn(f"{one_line(words)}. The uninstall forgets that")
        tell(f"To remove, of {report.place}:")
        for one in look.found.removals:
            tell(f"  - {one.what}: {one_line(one.name)}")
            if one.why:
                tell(f"      {one_line(one.why)}")
            for part in one.parts:
                tell(f"      {one_line(part)}")
    _tell_left(look, tell)


def _tell_left(look: Look, tell: Tell) -> None:
    whole = say_whole if tell is say else note_whole  # commands to copy are never broken
    if look.found.left:
        tell("Left to you:")
    for one in look.found.left:
        tell(f"  = {one.what}: {one_line(one.name)}")
        tell(f"      {one_line(one.why)}:")
        whole(f"      {one_line(one.how)}")
    for problem in look.problems:
        warn(f"stored targets are not valid, so their hosts are not known: {one_line(problem)}")
    if look.hosts:
        saved = suggest("saved", "TARGET")
        tell(
            "On the hosts everything stays, also what Pulley saved for people in refs/pulley/saved "
            f"(docs/host.md): {saved} lists it, before the uninstall. To remove Pulley's notes "
            "there, now or later:"
        )
    for host in look.hosts:
        tell(f"  {one_line(host.target)}, {one_line(host.checkout)}:")
        whole(f"    {one_line(host.command)}")


def _refuse(look: Look, *, force: bool) -> None:
    """Refuse to cut something in the middle."""
    for words in look.holding:
        note(f"{'Warning' if force else 'Error'}: {one_line(words)}")
    if look.holding and not force:
        status = suggest("status")
        note(f"Nothing was changed: wait for the end ({status}), or pass --force to cut it.")
        raise click.exceptions.Exit(FAILED)


def _apply(work: Uninstall, report: Report, tell: Tell, *, force: bool) -> None:
    is_checked = force
    try:
        for one in report.look.found.removals:
            if not (one.stops_deploys or is_checked):
                work.check_nothing_began()
                is_checked = True
            one.remove()
            report.done.append(one)
            tell(f"Removed: {one.what}: {one_line(one.name)}")
    except PulleyError:
        if report.done:
            warn("what is named above is gone. To go on, run the command again.")
        raise


def _tell_end(report: Report, tell: Tell) -> None:
    if report.remaining is None:
        return
    if report.remaining:
        note(f"Still there, of {report.place}:", style="red")
        for one in report.remaining:
            note(f"  - {one.what}: {one_line(one.name)}")
        note(
            "Run the command again, in a quarter of an hour if a round may still have been running."
        )
        raise click.exceptions.Exit(NOT_WELL)
    but = " but what is left to you, above" if report.look.found.left else ""
    tell(f"Nothing is left of {report.place}{but}.")
