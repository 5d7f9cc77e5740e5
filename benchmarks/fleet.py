"""From `git push` to the end of the last host's run, in the sandbox, all on this machine.

git, the app, the document and the script are real; GitHub, AWS and the agents are emulated, and the
hosts share this machine's cores. So a figure says nothing about a real fleet, whose hosts have
cores of their own. The same push is also measured with a document whose script only prints that it
has pulled. That is the part without the hosts: `git push`, the webhook and the emulation. The rest
is the hosts' runs, and the server of their fetches, which is GitHub in reality. The target has no
steps, because they belong to the application.
"""

import json
import subprocess
from collections.abc import Iterator

from benchmarks.compare import compare
from benchmarks.figures import Curve, Figure
from chalicelib.core.commands import document_name
from chalicelib.core.refs import Repository
from chalicelib.core.results import HostResult
from chalicelib.core.stored import ParameterNames
from pulley.host.document import build_document
from pulley.sandbox.sandbox import FULL_NAME, STAGE, TARGET, Sandbox

PULLED, SAID = "push to pulled", "push to pulled without the hosts' script"
ROUNDS = {1: 15, 10: 9, 50: 5}  # by the number of hosts
QUICK_ROUNDS = {1: 2, 10: 2}
STEPS = ("after_pull", "restart")
# This script prints the result of a run that has pulled, and does nothing else.
SAYS_PULLED = """\
#!/bin/sh
printf '{"v":1,"target":"%s","outcome":"updated","before":null,"after":"%s","upstream":"%s",' \\
    "$SSM_Target" "$SSM_Commit" "$SSM_Commit"
echo '"local_commits":0,"saved":null,"step":null,"detail":"","seconds":0.0}'
"""


class Pushes:
    """Pushes one commit at a time to a sandbox, whose hosts pull it or only say so."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Store the document that only prints, and a target without steps."""
        self._sandbox, self._ssm = sandbox, sandbox.account.ssm
        self._head, self._command = "", ""
        self._number = 0
        stored = self._ssm.get_parameter(Name=ParameterNames(STAGE).document)["Parameter"]["Value"]
        described = self._ssm.update_document(
            Name=document_name(STAGE),
            Content=json.dumps(build_document(SAYS_PULLED)),
            DocumentFormat="JSON",
            DocumentVersion="$LATEST",
        )["DocumentDescription"]
        other = {"version": described["DocumentVersion"], "hash": described["Hash"]}
        self._pins = {PULLED: stored, SAID: json.dumps(other)}
        target = {key: value for key, value in TARGET.items() if key not in STEPS}
        targets = ParameterNames(STAGE).targets(Repository.parse(FULL_NAME))
        self._ssm.put_parameter(Name=targets, Value=json.dumps([target]), Overwrite=True)

    def commit(self, document: str) -> None:
        """Make a commit to push, and choose the hosts' document. Waits until nothing else runs."""
        self.check()
        pin = ParameterNames(STAGE).document
        self._ssm.put_parameter(Name=pin, Value=self._pins[document], Overwrite=True)
        self._number += 1
        self._head = self._sandbox.commit({"index.html": f"{self._number}\n"}, "One more")

    def push(self) -> None:
        """Push, and wait for the last host."""
        subprocess.run(
            ["git", "push", "-q", "origin", "main"],
            cwd=self._sandbox.developer.working_dir,
            capture_output=True,
            check=True,
        )
        # The push has waited for the webhook's answer, so the command exists.
        account = self._sandbox.account
        self._command = account.run_command.commands()[0].id
        account.wait_until_ended(self._command)

    def check(self) -> None:
        """Wait for the report, then check that every host is at the last push."""
        self._sandbox.wait_until_quiet()
        if not self._command:
            return
        results = self._sandbox.results(self._command)
        for machine in self._sandbox.machines:
            result = results[machine.name]
            if not isinstance(result, HostResult) or result.after != self._head:
                raise RuntimeError(f"{machine.name} is not at {self._head}: {result}")
        self._command = ""


def measure(*, quick: bool) -> Iterator[Figure | Curve]:
    """The seconds, and the share without the hosts, for each number of hosts."""
    series: dict[str, list[tuple[float, float]]] = {PULLED: [], SAID: []}
    with Sandbox(["web-1"]) as sandbox:
        pushes = Pushes(sandbox)
        for hosts, rounds in (QUICK_ROUNDS if quick else ROUNDS).items():
            for number in range(len(sandbox.machines), hosts):
                sandbox.add_machine(f"web-{number + 1}")
            timings = compare(
                dict.fromkeys(series, pushes.push), rounds=rounds, before=pushes.commit
            )
            pushes.check()
            words = "1 host" if hosts == 1 else f"{hosts} hosts"
            value, low, high = timings.over(PULLED)
            yield Figure(f"{PULLED}, {words}", value, "s", low=low, high=high)
            share, low, high = (100 * one for one in timings.ratio(SAID, PULLED))
            yield Figure(f"{SAID}, {words}", share, "%", low=low, high=high)
            for name, points in series.items():
                points.append((hosts, timings.median(name)))
    yield Curve("fleet", "From git push to the last host", "hosts", "seconds", series)
