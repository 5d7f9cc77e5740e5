"""A push through the three functions, during which a call fails."""

from pathlib import Path

import boto3

from chalicelib.core.errors import PulleyError
from chalicelib.edges import github_api
from pulley.sandbox.github.server import GitHubServer
from tests.app.conftest import AddHost, git
from tests.app.faults import Faults, Kind
from tests.app.run_command import RunCommand, result_line
from tests.app.stage import Stage, forget_warm_clients
from tests.app.test_reconcile_event import EVENT
from tests.fakes import NAMES, SITE, target_json, targets_text


class Journey:
    """A stage with one host, to which the test pushes one commit after another.

    The host has an earlier commit, reported as success. Systems Manager has forgotten its command.
    Another target waits for the host's target (`after`), but is frozen.
    """

    def __init__(
        self,
        stage: Stage,
        faults: Faults,
        run_command: RunCommand,
        github: GitHubServer,
        repository: Path,
        add_host: AddHost,
    ) -> None:
        self.log = stage.log
        self._stage, self._faults, self._run_command = stage, faults, run_command
        self._github, self._repository, self._add_host = github, repository, add_host
        self._ec2 = boto3.client("ec2")
        self._hosts: list[str] = []
        self._commit = ""
        self._lines_before = 0
        self._read_seconds = github_api.READ_SECONDS
        late = target_json("late", after=["web"], checkout="/srv/late")
        stage.store(NAMES.targets(SITE), targets_text(target_json(), late))
        stage.store(NAMES.pin("late"), {"state": "frozen", "reason": "the fair"})
        self.add_host()
        self.begin()
        self.release()

    def release(self) -> None:
        """Push a commit and report it without a failure."""
        assert self.push() == "202"
        self.carry_out()
        assert self.report() == "told"

    def begin(self) -> None:
        """Start with a new commit, one host and cold functions."""
        tree, tip = (git(self._repository, "rev-parse", one) for one in ("main^{tree}", "main"))
        self._commit = git(self._repository, "commit-tree", tree, "-p", tip, "-m", "next")
        git(self._repository, "update-ref", "refs/heads/main", self._commit)
        self._run_command.commands.clear()
        while len(self._hosts) > 1:
            self._remove_host()
        forget_warm_clients()

    def add_host(self) -> None:
        called = list(self._faults.calls)
        self._hosts.append(self._add_host(f"web-{len(self._hosts) + 1}"))
        self._faults.calls = called  # only calls of the functions count

    def _remove_host(self) -> None:
        called, id_ = list(self._faults.calls), self._hosts.pop()
        self._run_command.online.remove(id_)
        self._ec2.terminate_instances(InstanceIds=[id_])
        self._faults.calls = called

    def fail(self, call: str, kind: Kind, *, is_brief: bool = False) -> None:
        faults = self._faults
        faults.call, faults.kind, faults.is_brief, faults.failed = call, kind, is_brief, 0
        self._lines_before = len(self.log.lines())
        # Waiting for a silent GitHub is useless, so the time-out is short.
        github_api.READ_SECONDS = 0.5 if kind is Kind.SILENT else self._read_seconds

    def heal(self) -> None:
        """Let the call succeed again, after it did fail, in cold functions."""
        assert self._faults.failed
        self._faults.call = ""
        github_api.READ_SECONDS = self._read_seconds
        self._lines_before = len(self.log.lines())
        forget_warm_clients()

    def calls(self) -> set[str]:
        """The calls since this method was last called."""
        called, self._faults.calls = set(self._faults.calls), []
        return called

    def logged(self) -> set[tuple[str, str]]:
        """The subject and outcome of each log line since the call failed."""
        lines = self.log.lines()[self._lines_before :]
        return {(line["about"], line["outcome"]) for line in lines}

    def push(self) -> str:
        """Push the commit. Gives docs/faults.md's outcome."""
        status = self._stage.push(after=self._commit).status
        return "not woken" if ("round", "not_woken") in self.logged() else str(status)

    def push_unannounced(self) -> None:
        """Push while GitHub fails, so that the push has no deployment."""
        self.fail("GET /deployments of a commit", Kind.GARBAGE)
        self.push()
        self.heal()

    def report(self) -> str:
        """Report the newest command, which has ended. Gives docs/faults.md's outcome."""
        try:
            self._stage.report(self._run_command.commands[0].event())
        except PulleyError:
            return "tried again"
        if ("notification", "failed") in self.logged():
            return "not notified"
        if ("round", "not_woken") in self.logged():
            return "not woken"
        return "told" if self.is_only_green_commit() else "not told"

    def reconcile(self) -> str:
        """Run a round after a round that ran out of time. Gives docs/faults.md's outcome."""
        self._stage.store(NAMES.reconcile, "api")
        try:
            outcome = self._stage.reconcile(EVENT)
        except PulleyError:
            return "no round"
        return "failed" if outcome["failed"] else "goes on"

    def carry_out(self) -> None:
        """Let every host finish the commands that were sent."""
        for one in reversed(self._run_command.commands):
            if one.status != "InProgress":
                continue
            targets = {to["Key"]: to["Values"] for to in one.arguments["Targets"]}
            for id_ in targets.get("InstanceIds", self._hosts):
                one.add_host(result_line(self._commit), instance_id=id_, name=id_)
            one.end()

    def wait(self, hours: float) -> None:
        """Make the sent commands older by this many hours."""
        for one in self._run_command.commands:
            one.requested -= hours * 3600

    def sends(self) -> int:
        """How many commands carry the commit."""
        sent = [one.arguments["Parameters"]["Commit"] for one in self._run_command.commands]
        assert all(commits == [self._commit] for commits in sent)
        return len(sent)

    def is_only_green_commit(self) -> bool:
        """Whether the commit has the state success and every other is inactive."""
        made = self._github.deployments("octo/site")
        states = sorted((one.sha == self._commit, one.state) for one in made)
        return states[-1:] == [(True, "success")] and {one for _, one in states[:-1]} <= {
            "inactive"
        }

    def converge(self) -> None:
        """Run hosts and rounds until no work is left, without any further event."""
        for _ in range(3):
            self.carry_out()
            forget_warm_clients()
            outcome = self._stage.reconcile(EVENT)
            if not outcome["sent"]:
                break
        assert {outcome[name] for name in ("sent", "behind", "failed")} == {0}, outcome
        assert self.is_only_green_commit()
