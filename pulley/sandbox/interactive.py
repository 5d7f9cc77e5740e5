"""`pulley sandbox`: the account and its hosts, left running for somebody to push to."""

import signal
import threading
from collections.abc import Mapping

from rich.console import Console

from chalicelib.core.commands import OUTCOMES_AT_UPSTREAM, HostResult, ResultError
from pulley.sandbox.sandbox import STAGE, Sandbox

_COMMAND = "EC2 Command Status-change Notification"
_ENDED = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})


def run_sandbox(console: Console, hosts: int) -> None:
    """Run until Ctrl-C, TERM or the end of the terminal, and print each command's outcome."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with Sandbox([f"web-{number}" for number in range(1, hosts + 1)]) as sandbox:
        sandbox.account.subscribe(lambda event: _show(console, sandbox, event))
        settings = "\n".join(
            f"  export {name}={value}" for name, value in sandbox.account.environ.items()
        )
        console.print(
            f"The hosts follow the branch main of {sandbox.upstream.url}\n\n"
            "Push to it from the clone that is there:\n"
            f"  cd {sandbox.developer.working_dir}\n"
            "  echo '<h1>Mine</h1>' > index.html && git commit -am Mine && git push\n\n"
            f"The hosts' disks:  {sandbox.directory}/hosts\n"
            f"The webhook:       {sandbox.webhook.url} (stage {STAGE})\n"
            f"Its secret:        {sandbox.directory}/webhook-secret\n"
            f"Its log:           {sandbox.directory}/webhook.log\n\n"
            f"To use the account with the AWS command line or boto3:\n{settings}\n\n"
            "Ctrl-C stops it and cleans up.\n",
            highlight=False,
            soft_wrap=True,
        )
        stop.wait()
        console.print("Cleaning up ...")


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


def describe(result: HostResult) -> str:
    """A host's result in words."""
    if result.detail.startswith(result.outcome):  # "conflict in app.txt"
        return f"{(result.after or '-')[:7]}  {result.detail}"
    words = f"{(result.after or '-')[:7]}  {result.outcome}"
    if result.local_commits and result.outcome in OUTCOMES_AT_UPSTREAM:
        words += f", {result.local_commits} local on top of {(result.upstream or '-')[:7]}"
    return words + (f": {result.detail}" if result.detail else "")
