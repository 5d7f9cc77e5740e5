"""A push through the three functions, where calls fail on the way."""

from pathlib import Path

import boto3

from chalicelib.core.errors import PulleyError
from chalicelib.edges import github_api
from pulley.sandbox.github.server import GitHubServer
from tests.app.conftest import git
from tests.app.faults import Faults, Kind
from tests.app.run_command import RunCommand, result_line
from tests.app.stage import Stage, forget_what_is_warm
from tests.app.test_reconcile_event import EVENT, AddHost
from tests.fakes import NAMES


class Journey:
    """A stage with one host, to which one commit after the other is pushed.

    An earlier release is on the host, and green, of which Systems Manager remembers nothing more.
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
        self.add_host()
        self.begin()
        self.release()

    def release(self) -> None:
        """A push to which nothing happens on the way."""
        assert self.push() == "202"
        self.carry_out()
        assert self.report() == "told"

    def begin(self) -> None:
        """With a commit that nobody has seen yet, one host, and functions that just started."""
        tree, tip = (git(self._repository, "rev-parse", one) for one in ("main^{tree}", "main"))
        self._commit = git(self._repository, "commit-tree", tree, "-p", tip, "-m", "next")
        git(self._repository, "update-ref", "refs/heads/main", self._commit)
        self._run_command.commands.clear()
        while len(self._hosts) > 1:
            self._remove_host()
        forget_what_is_warm()

    def add_host(self) -> None:
        called = list(self._faults.calls)
        self._hosts.append(self._add_host(f"web-{len(self._hosts) + 1}"))
        self._faults.calls = called  # of the functions alone

    def _remove_host(self) -> None:
        called, id_ = list(self._faults.calls), self._hosts.pop()
        self._run_command.online.remove(id_)
        self._ec2.terminate_instances(InstanceIds=[id_])
        self._faults.calls = called

    def fail(self, call: str, kind: Kind, *, is_brief: bool = False) -> None:
        faults = self._faults
        faults.call, faults.kind, faults.is_brief, faults.failed = call, kind, is_brief, 0
        self._lines_before = len(self.log.lines())
        # Who waits for a silent GitHub waits less, and in vain.
        github_api.READ_SECONDS = 0.5 if kind is Kind.SILENT else self._read_seconds

    def heal(self) -> None:
        """The call, which did fail, is well again; and what was warm has gone cold."""
        assert self._faults.failed
        self._faults.call = ""
        github_api.READ_SECONDS = self._read_seconds
        self._lines_before = len(self.log.lines())
        forget_what_is_warm()

    def calls(self) -> set[str]:
        """What was called since this was asked last."""
        called, self._faults.calls = set(self._faults.calls), []
        return called

    def logged(self) -> set[tuple[str, str]]:
        """What each line was about, and its outcome, since the call failed."""
        lines = self.log.lines()[self._lines_before :]
        return {(line["about"], line["outcome"]) for line in lines}

    def push(self) -> str:
        return str(self._stage.push(after=self._commit).status)

    def push_unannounced(self) -> None:
        """With no deployment on GitHub, which was not well then."""
        self.fail("GET /deployments of a commit", Kind.GARBAGE)
        self.push()
        self.heal()

    def report(self) -> str:
        """What comes of the event of the newest command, which is over."""
        try:
            self._stage.report(self._run_command.commands[0].event())
        except PulleyError:
            return "tried again"
        if ("notification", "failed") in self.logged():
            return "not notified"
        return "told" if self.is_told() else "not told"

    def reconcile(self) -> str:
        """What comes of a round, where the one before had run out of time."""
        self._stage.store(NAMES.reconcile, "api")
        try:
            outcome = self._stage.reconcile(EVENT)
        except PulleyError:
            return "no round"
        return "failed" if outcome["failed"] else "goes on"

    def carry_out(self) -> None:
        """Every host does what it was sent, which is then over."""
        for one in reversed(self._run_command.commands):
            if one.status != "InProgress":
                continue
            targets = {to["Key"]: to["Values"] for to in one.arguments["Targets"]}
            for id_ in targets.get("InstanceIds", self._hosts):
                one.add_host(result_line(self._commit), instance_id=id_, name=id_)
            one.end()

    def wait(self, hours: float) -> None:
        """What was sent is so much older."""
        for one in self._run_command.commands:
            one.requested -= hours * 3600

    def sends(self) -> int:
        """How often the commit was sent."""
        sent = [one.arguments["Parameters"]["Commit"] for one in self._run_command.commands]
        assert all(commits == [self._commit] for commits in sent)
        return len(sent)

    def is_told(self) -> bool:
        """Whether the commit is green, and no other is."""
        made = self._github.deployments("octo/site")
        states = sorted((one.sha == self._commit, one.state) for one in made)
        return states[-1:] == [(True, "success")] and {one for _, one in states[:-1]} <= {
            "inactive"
        }

    def converge(self) -> None:
        """Hosts and rounds do their work until there is none. No event comes any more."""
        for _ in range(3):
            self.carry_out()
            forget_what_is_warm()
            outcome = self._stage.reconcile(EVENT)
            if not outcome["sent"]:
                break
        assert {outcome[name] for name in ("sent", "behind", "failed")} == {0}, outcome
        assert self.is_told()
