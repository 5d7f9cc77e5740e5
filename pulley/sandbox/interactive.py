"""`pulley sandbox`: the account and its hosts, left running for somebody to push to."""

import os
import select
import signal
import threading
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape

from chalicelib.core.results import OUTCOMES_AT_UPSTREAM, HostResult, ResultError
from pulley.sandbox.sandbox import FULL_NAME, SCHEDULED, STAGE, TAGS, TARGET, Sandbox

ROUND_SECONDS = 30
_COMMAND = "EC2 Command Status-change Notification"
_ENDED = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})


def run_sandbox(console: Console, hosts: int, *, empty: bool = False) -> None:
    """Run until Ctrl-C, TERM or the end of the terminal, and print each command's outcome.

    In an empty sandbox nothing is set up, so that a person can do it.
    """
    # A pipe: a handler may interrupt itself, or a thread that holds a lock.
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    ending = threading.Event()
    names = [f"web-{number}" for number in range(1, hosts + 1)]
    with Sandbox(names, empty=empty, launches=True) as sandbox:
        # A person plays CI here, too: Pulley's own token needs none of these.
        sandbox.github.permissions |= {"statuses": "write", "checks": "write", "contents": "write"}

        def show(event: Mapping[str, object]) -> None:
            try:
                if not ending.is_set():
                    _show(console, sandbox, event)
            except Exception:
                if not ending.is_set():  # otherwise the cause is that the sandbox is closing
                    raise

        sandbox.account.subscribe(show)
        words = _describe_empty(sandbox) if empty else _describe_ready(sandbox)
        console.print(words, highlight=False, markup=False, soft_wrap=True)
        while not select.select([told], [], [], ROUND_SECONDS)[0]:
            sandbox.reconciler.invoke(SCHEDULED)
        ending.set()
        console.print("Cleaning up ...")


def _describe_ready(sandbox: Sandbox) -> str:
    return (
        f"The hosts follow the branch main of {sandbox.upstream.url}\n\n"
        "Push to it from the clone that is there:\n"
        f"  cd {sandbox.developer.working_dir}\n"
        "  echo '<h1>Mine</h1>' > index.html && git commit -am Mine && git push\n"
        "  git rm health && git commit -m Ill && git push     # fails its health check\n\n"
        "Every `pulley` command works with it, and so do the AWS command line and boto3: in\n"
        "a second terminal, first\n"
        f"  . {sandbox.directory}/environment\n\n"
        f"Every {ROUND_SECONDS} seconds a round looks for hosts that are behind.\n\n"
        f"{_describe_places(sandbox)}"
        f"Webhook's secret:  {sandbox.directory}/webhook-secret\n\n"
        "Ctrl-C stops it and cleans up.\n"
    )


def _describe_empty(sandbox: Sandbox) -> str:
    tags = " ".join(f"{key}={value}" for key, value in TAGS.items())
    return (
        "The app is deployed, and nothing is set up: no document, no secret, no token, no\n"
        "targets, no webhook. docs/getting-started.md says how, from `pulley setup` on; every\n"
        "`pulley` command works here. In a second terminal, first\n"
        f"  . {sandbox.directory}/environment\n\n"
        f"The repository:    {FULL_NAME}, with its branch main; a clone of it to push from is\n"
        f"                   in {sandbox.developer.working_dir}\n"
        f"The hosts:         {', '.join(machine.name for machine in sandbox.machines)}: "
        f"tagged {tags}, the checkout is {TARGET['checkout']}\n"
        f"Their health:      {sandbox.target['health_check']}\n"
        f"{_describe_places(sandbox)}\n"
        f"Every {ROUND_SECONDS} seconds a round looks for hosts that are behind, once there are\n"
        "targets.\n\n"
        "Ctrl-C stops it and cleans up.\n"
    )


def _describe_places(sandbox: Sandbox) -> str:
    return (
        f"The hosts' disks:  {sandbox.directory}/hosts\n"
        f"A checkout there:  {sandbox.machines[0].checkout}\n"
        f"The hosts' sites:  {' '.join(machine.site.url for machine in sandbox.machines)}\n"
        f"GitHub's token:    {sandbox.directory}/github-token\n"
        f"GitHub's API:      curl -H @{sandbox.directory}/github-header "
        f"{sandbox.github.api_url}/repos/{FULL_NAME}/deployments\n"
        f"A check, as CI:    curl -H @{sandbox.directory}/github-header "
        f"{sandbox.github.api_url}/repos/{FULL_NAME}/statuses/$(git rev-parse HEAD)"
        ' -d \'{"context": "test", "state": "success"}\'\n'
        f"The webhook:       {sandbox.webhook.url} (stage {STAGE})\n"
        f"Its log:           {sandbox.directory}/webhook.log\n"
        f"The reports' log:  {sandbox.directory}/report.log\n"
        f"The rounds' log:   {sandbox.directory}/reconcile.log\n"
        f"The launches' log: {sandbox.directory}/launch.log\n"
    )


def _show(console: Console, sandbox: Sandbox, event: Mapping[str, object]) -> None:
    detail = event["detail"]
    if event["detail-type"] != _COMMAND or not isinstance(detail, Mapping):
        return
    if detail["status"] not in _ENDED:
        return
    command_id = str(detail["command-id"])
    console.print(f"Command {command_id}: {detail['status']}", highlight=False)
    results = sandbox.results(command_id)
    if not results:
        console.print("  no host has the target's tags and the stage's")
    for name, result in results.items():
        words = str(result) if isinstance(result, ResultError) else describe(result)
        console.print(f"  {name}  {words}", highlight=False, soft_wrap=True)
    sandbox.reporter.wait_until_idle()
    deployment = sandbox.deployment(command_id)
    if deployment and deployment.status:
        words = f"{deployment.state}  {deployment.status.description}"
        console.print(f"  on GitHub: {escape(words)}", highlight=False, soft_wrap=True)


def describe(result: HostResult) -> str:
    """A host's result in words."""
    if result.detail.startswith(result.outcome):  # "conflict in app.txt"
        return f"{(result.after or '-')[:7]}  {result.detail}"
    words = f"{(result.after or '-')[:7]}  {result.outcome}"
    if result.local_commits and result.outcome in OUTCOMES_AT_UPSTREAM:
        words += f", {result.local_commits} local on top of {(result.upstream or '-')[:7]}"
    return words + (f": {result.detail}" if result.detail else "")
