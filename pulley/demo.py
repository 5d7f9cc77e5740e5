"""`make demo` shows real pushes as a timeline: from `git push` to the hosts and back to GitHub.

It succeeds only if every host reports the good commit, and GitHub shows the right states.
"""

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from git import Repo
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chalicelib.core.refs import CommitSha
from chalicelib.core.results import HostResult, ResultError
from pulley.project import project
from pulley.sandbox.github.deliveries import WebhookAnswer, post_delivery, push_payload
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.interactive import describe
from pulley.sandbox.picture import write_picture
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from pulley.sandbox.setup import store_targets
from pulley.timeline import Timeline

HOSTS = ("web-1", "web-2", "web-3")
PRODUCTION = "prod-1"  # the host of the target that waits for the others
PICTURE = project() / "build/demo/page.html"
_ANSWER = re.compile(r"Pulley answered (\d+): (.*?)\s*$", re.MULTILINE)
Result = HostResult | ResultError
_INVOCATION = "EC2 Command Invocation Status-change Notification"


class EndTimes:
    """The time at which each host ended a command, from EventBridge's events."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def note(self, event: Mapping[str, object]) -> None:
        """Record an EventBridge event."""
        detail = event["detail"]
        if event["detail-type"] == _INVOCATION and isinstance(detail, Mapping):
            self._at[str(detail["instance-id"])] = time.monotonic()

    def after(self, start: float, instance_id: str) -> str:
        """The seconds from the start to the host's newest event, for people."""
        at = self._at.get(instance_id)
        return f"{at - start:.2f} s" if at is not None and at > start else "-"


def run_demo(console: Console, broken_host: str | None) -> bool:
    """Show a good push and a bad one. `broken_host` gets a commit that conflicts.

    Returns True if every host ends at the good commit, and GitHub shows the right state of both.
    """
    line = Timeline(console)
    pushes = "One push" if broken_host else "Two pushes"
    console.print(f"{pushes}, with GitHub, an AWS account and four hosts on this machine.\n")
    with ExitStack() as running:
        with line.waiting("Starting them"):
            sandbox = running.enter_context(Sandbox(HOSTS))
        times = EndTimes()
        sandbox.account.subscribe(times.note)
        line.say(f"An AWS account answers at {sandbox.account.endpoint_url}; stored in it are")
        line.add(f"a webhook secret, a token for GitHub, the targets of {FULL_NAME}, and Pulley's")
        line.add("SSM document.")
        _add_production(sandbox)
        line.say(
            f"Three hosts, tagged role=web, have a clone of {FULL_NAME} in /srv/site, and so has"
        )
        line.add(f'{PRODUCTION}, whose target waits for theirs: [bold]after = \\["web"][/bold]')
        line.say(f"The Chalice app listens at {sandbox.webhook.url}.")
        _prepare_hosts(sandbox, line, broken_host)
        before = {machine.name: machine.head() for machine in sandbox.machines}
        old = sandbox.developer.head.commit.hexsha
        commit = CommitSha.parse(
            sandbox.commit({"index.html": "<h1>Release two</h1>\n"}, "Release two")
        )
        console.print()
        line.say(f"[bold]git push[/bold] of {commit.short} to {FULL_NAME}, branch main")
        pushed_at = time.monotonic()
        first = _push(sandbox.developer)
        line.say(f"GitHub posts a signed delivery; Pulley answers {first.status}: command sent")
        with line.waiting("Each host fetches, rebases, runs its steps and is asked for its health"):
            results = _wait(sandbox, first)
        line.say("Every host has ended its run:\n")
        console.print(_table(sandbox, before, results, times, pushed_at))
        _show_what_is_kept(sandbox, line)
        told = _show_deployment(sandbox, line, commit, first) == "success"
        followed = _show_production(sandbox, line, commit)
        console.print()
        body = push_payload(
            Repo(sandbox.upstream.path), FULL_NAME, "refs/heads/main", old, str(commit)
        )
        forged = _show_forgery(sandbox, line, body)
        again = _show_redelivery(sandbox, line, body, first)
        # With a host in conflict only one push is shown.
        bad = broken_host is not None or _show_bad_release(sandbox, line, first)
        with line.waiting("Drawing the fleet, and cleaning up"):
            picture = write_picture(sandbox, PICTURE)
            running.close()
    should_follow = "queued" if broken_host else "success"
    at_commit = sum(isinstance(one, HostResult) and one.is_at(commit) for one in results.values())
    follows = followed == should_follow
    passed = at_commit == len(HOSTS) and all((told, follows, forged, again, bad))
    words = f"{at_commit} of {len(HOSTS)} hosts of web are at {commit.short}."
    _conclude(console, words, picture, passed=passed)
    return passed


def _prepare_hosts(sandbox: Sandbox, line: Timeline, broken_host: str | None) -> None:
    """Give the hosts an edit and commits of their own, as real hosts have."""
    sandbox.machines[1].write("settings.ini", "workers = 8\n")
    sandbox.machines[2].commit("robots.txt", "User-agent: *\n", "A hotfix on the host")
    line.say("Somebody edited settings.ini on web-2, and committed a hotfix on web-3.")
    for machine in sandbox.machines:
        if machine.name == broken_host:
            machine.commit("index.html", "<h1>Mine</h1>\n", "In conflict with the next release")
            line.say(
                f"On {machine.name} somebody committed what will conflict (BREAK asked for it)."
            )


def _add_production(sandbox: Sandbox) -> None:
    """Add a host and a target for it, which gets a commit when web is well at it."""
    machine = sandbox.add_machine(PRODUCTION, tags={"pulley": STAGE, "role": "production"})
    production = {
        **sandbox.target,
        "name": "production",
        "instances": {"tags": {"role": "production"}},
        "health_check": machine.site.health_check,
        "after": ["web"],
    }
    store_targets(sandbox.account.ssm, STAGE, FULL_NAME, [sandbox.target, production])


def _show_production(sandbox: Sandbox, line: Timeline, commit: CommitSha) -> str:
    """Show what became of the commit in production. Returns its state, or "" without one."""
    with line.waiting("Production waits for web"):
        sandbox.wait_until_quiet()
    made = sandbox.github.deployments(FULL_NAME)
    found = [one for one in made if (one.environment, one.sha) == ("production", commit.sha)]
    if not found or not found[0].status:
        return ""
    line.say("And as a deployment to production, which waits for web:")
    said = found[0].statuses if found[0].state != "queued" else found[0].statuses[-1:]
    for status in said:
        line.add(f"{status.state}  {escape(status.description)}")
    return found[0].state


def _push(developer: Repo) -> WebhookAnswer:
    """Push, and return the webhook's answer, which the upstream's hook prints for the pusher."""
    done = subprocess.run(
        ["git", "push", "-q", "origin", "main"],
        cwd=developer.working_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    told = _ANSWER.search(done.stderr)
    if told is None:
        raise RuntimeError(f"the push brought no answer of the webhook: {done.stderr}")
    return WebhookAnswer(int(told[1]), json.loads(told[2]))


def _commands_of(answer: WebhookAnswer) -> list[str]:
    """The ids of the commands that the webhook sent."""
    deployments = answer.body.get("deployments")
    return [one["command_id"] for one in deployments] if isinstance(deployments, list) else []


def _wait(sandbox: Sandbox, answer: WebhookAnswer) -> dict[str, Result]:
    """Wait for the answer's commands to end. Returns each host's result."""
    results: dict[str, Result] = {}
    for command_id in _commands_of(answer):
        sandbox.account.wait_until_ended(command_id)
        results |= sandbox.results(command_id)
    return results


def _table(
    sandbox: Sandbox,
    before: Mapping[str, str],
    results: Mapping[str, Result],
    times: EndTimes,
    pushed_at: float,
) -> Table:
    table = Table("host", "before", "push to pulled", "after, and what it says", box=None)
    for machine in sandbox.machines[: len(HOSTS)]:
        result = results.get(machine.name)
        table.add_row(
            machine.name,
            before[machine.name][:7],
            times.after(pushed_at, machine.host.instance_id),
            describe(result) if isinstance(result, HostResult) else f"{result}",
        )
    return table


def _show_what_is_kept(sandbox: Sandbox, line: Timeline) -> None:
    line.console.print()
    edited = (sandbox.machines[1].checkout / "settings.ini").read_text().strip()
    line.add(f"The edit on web-2 is still there: {edited}")
    journal = sandbox.machines[0].journal.read_text().splitlines()
    line.add("On web-1 deploy/after-pull ran, then as " + (journal[-1] if journal else "nobody"))
    line.console.print()


def _show_deployment(
    sandbox: Sandbox, line: Timeline, commit: CommitSha, answer: WebhookAnswer
) -> str:
    """Show the commit's deployment on GitHub. Returns its state, or "" without one."""
    with line.waiting("The report goes to GitHub"):
        sandbox.wait_until_reported()
    for command_id in _commands_of(answer):
        deployment = sandbox.deployment(command_id)
        status = deployment.status if deployment else None
        if deployment is None or status is None:
            break
        colour = {"success": "green", "in_progress": "yellow"}.get(status.state, "red")
        line.say(f"On GitHub {commit.short} now has, as a deployment to {deployment.environment}:")
        line.add(f"[{colour}]{status.state}[/{colour}]  {escape(status.description)}")
        return status.state
    line.say(f"[red]On GitHub {commit.short} has no deployment.[/red]")
    return ""


def _show_bad_release(sandbox: Sandbox, line: Timeline, good: WebhookAnswer) -> bool:
    """Push a commit that fails the health check. True if hosts went back and GitHub shows it."""
    with line.waiting("A round looks at every host"):
        sandbox.wait_until_quiet()  # one that still runs could send the bad release first
    heads = [machine.head() for machine in sandbox.machines]
    sandbox.developer.index.remove(["health"], working_tree=True)
    commit = CommitSha.parse(
        sandbox.commit({"index.html": "<h1>Release three</h1>\n"}, "Release three, ill")
    )
    line.console.print()
    line.say(
        f"[bold]git push[/bold] of {commit.short}, whose site has lost the page /health that the"
    )
    line.add("target's health check asks for. The hosts ask for 13 seconds, then go back ...")
    answer = _push(sandbox.developer)
    with line.waiting("The hosts ask for /health"):
        _wait(sandbox, answer)
    state = _show_deployment(sandbox, line, commit, answer)
    production = _show_production(sandbox, line, commit)
    served = {_served_by(machine) for machine in sandbox.machines}
    line.add(f"The hosts serve {' and '.join(sorted(served))}.")
    before = next(map(sandbox.deployment, _commands_of(good)), None)
    return (
        (state, production) == ("failure", "queued")
        and served == {"Release two"}
        and heads == [machine.head() for machine in sandbox.machines]
        and before is not None
        and before.state == "success"
    )


def _served_by(machine: Machine) -> str:
    """The heading of the page that the host's site serves."""
    with urllib.request.urlopen(f"{machine.site.url}index.html", timeout=5) as page:  # noqa: S310
        return re.sub("<[^>]*>", "", page.read().decode()).strip()


def _show_forgery(sandbox: Sandbox, line: Timeline, body: bytes) -> bool:
    answer = post_delivery(sandbox.webhook.url, body, b"not the secret")
    line.say(f"A forged delivery of the same push: {answer.status}, {answer.body.get('error')}")
    return answer.status == 401


def _show_redelivery(sandbox: Sandbox, line: Timeline, body: bytes, first: WebhookAnswer) -> bool:
    heads = [machine.head() for machine in sandbox.machines]
    answer = post_delivery(
        sandbox.webhook.url, body, sandbox.secret, delivery=str(first.body.get("delivery"))
    )
    with line.waiting("Each host looks whether there is anything to do"):
        results = _wait(sandbox, answer)
    told = [
        (name, result.outcome if isinstance(result, HostResult) else str(result))
        for name, result in results.items()
    ]
    others = [f"{name}: {outcome}" for name, outcome in told if outcome != "unchanged"]
    unchanged = len(told) - len(others)
    words = f"{unchanged} of {len(told)} unchanged" + "".join(f", {other}" for other in others)
    line.say(f"The same delivery again: {answer.status}, {words}")
    return unchanged == len(HOSTS) and heads == [m.head() for m in sandbox.machines]


def _conclude(console: Console, words: str, picture: Path, *, passed: bool) -> None:
    colour = "green" if passed else "red"
    console.print(f"\n[{colour}]{words}[/{colour}]", highlight=False)
    if not passed:
        console.print(
            "So pulley demo ends with exit code 1. docs/host.md says what to do for each outcome."
        )
    console.print(
        "\nA picture of this fleet, as `pulley open` shows it live. Open it in a browser:\n"
        f"  {picture.as_uri()}\n",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        "Where to look next:\n"
        "  .venv/bin/pulley sandbox   the same, left running, to push to by hand\n"
        "  make demo BREAK=web-2      what it looks like when a host fails\n"
        "  docs/getting-started.md    into an AWS account, step by step\n"
        "  docs/host.md               what runs on a host, and every outcome",
        highlight=False,
    )
