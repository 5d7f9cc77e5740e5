"""The agent's document worker: runs one document's steps, from the parameters to the report.

It does what the agent does to a script: text substitution, SIGKILL at the limit, cut output,
special exit codes. Source: the agent's source (runscript.go, pluginutil.go, master.go) and runs
under a real agent.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pulley.sandbox.run_command.documents import (
    Document,
    DocumentStep,
    ParameterError,
    ParameterValues,
)
from pulley.sandbox.run_command.script import Ending, Script, ScriptOutcome, cut_stream
from pulley.sandbox.run_command.statuses import (
    CANCELLED,
    EXECUTION_TIMED_OUT,
    FAILED,
    SUCCESS,
    Status,
    StepResult,
)

# The first agent that supports `interpolationType`; older ones substitute text.
_KNOWS_ENVIRONMENT = (3, 3, 2746, 0)
_REBOOT, _KILLED, _SKIP_AS_SUCCESS, _SKIP_AS_FAILURE = 194, 137, 168, 169
_SKIP_THE_REST = frozenset({_SKIP_AS_SUCCESS, _SKIP_AS_FAILURE})
_HELD = 1  # the exit code if a process holds the output for ever
_NOTICE_SECONDS = 60  # until the agent gives up a silent worker
_WORKER_IS_DEAD = "document process failed unexpectedly: document worker timed out"


@dataclass(frozen=True)
class WorkerReport:
    """The agent's report of a command. `trace` is why it refused the document; then no step ran."""

    status: Status
    results: tuple[StepResult, ...] = ()
    trace: str = ""


@dataclass(frozen=True)
class Surroundings:
    """A script's surroundings. `second` is how long a second of `timeoutSeconds` takes here."""

    root: Path
    directory: Path
    environment: Mapping[str, str]
    agent_version: str
    second: float

    @property
    def knows_environment(self) -> bool:
        """Whether the agent passes parameters as variables."""
        return tuple(int(part) for part in self.agent_version.split(".")) >= _KNOWS_ENVIRONMENT


class Worker:
    """Runs one command's document. Call `run` once; any thread may call the other methods."""

    def __init__(self, command_id: str, document: Document, surroundings: Surroundings) -> None:
        self._command_id = command_id
        self._document = document
        self._around = surroundings
        self._changed = threading.Condition()
        self._is_cancelled = self._is_killed = False
        self._script: Script | None = None

    def run(self, given: ParameterValues) -> WorkerReport:
        """Run the document's steps with these parameters."""
        try:
            values = self._inside_root(self._document.receive(given))
        except ParameterError as error:
            return WorkerReport(FAILED, trace=str(error))
        results: list[StepResult] = []
        for step in self._document.steps:
            if self._is_cancelled or self._is_killed:
                break
            result = self._run_step(step, values)
            results.append(result)
            # A failed step does not stop the next step, but these exit codes skip all that follow.
            if result.exit_code in _SKIP_THE_REST:
                break
        if self._is_cancelled and not results:
            return WorkerReport(CANCELLED)
        unsuccessful = [result.status for result in results if result.status is not SUCCESS]
        return WorkerReport(unsuccessful[-1] if unsuccessful else SUCCESS, tuple(results))

    def cancel(self) -> None:
        """Kill the script, and start no further step."""
        with self._changed:
            self._is_cancelled = True
            if self._script:
                self._script.cancel()
            self._changed.notify_all()

    def kill(self) -> None:
        """Kill the worker, but not its script. After a minute the agent gives the command up."""
        with self._changed:
            self._is_killed = True
            if self._script:
                self._script.leave()

    def close(self) -> None:
        """Cancel the run, and kill its script if that is running."""
        self.cancel()
        if self._script and self._script.is_running:
            self._script.kill()

    def _run_step(self, step: DocumentStep, values: ParameterValues) -> StepResult:
        by_environment = {
            one.name
            for one in self._document.parameters
            if one.by_environment and self._around.knows_environment
        }
        texts = self._document.texts(
            {name: value for name, value in values.items() if name not in by_environment}
        )
        environment = {
            **self._around.environment,
            "SSM_COMMAND_ID": self._command_id,
            **{f"SSM_{name}": "\n".join(values[name]) for name in by_environment},
        }
        started = datetime.now(UTC)
        seconds = step.timeout_seconds(texts) * self._around.second
        try:
            text = step.script(texts)
        except ParameterError as error:
            return StepResult(step.name, FAILED, 1, b"", str(error).encode(), started, started)
        while True:
            outcome = self._run_script(step.name, text, environment, seconds)
            if outcome.ending is not Ending.ITSELF or outcome.exit_code != _REBOOT:
                break
            # The host would restart here; then the agent runs the step again.
        if outcome.ending is Ending.LEFT:
            self._await_notice()
            ended = datetime.now(UTC)
            return StepResult(step.name, FAILED, 0, b"", b"", started, ended, _WORKER_IS_DEAD)
        status, exit_code, told, remark = _judge(outcome)
        return StepResult(
            step.name,
            status,
            exit_code,
            cut_stream(outcome.stdout + told.encode()),
            cut_stream(outcome.stderr + remark.encode()),
            started,
            datetime.now(UTC),
        )

    def _run_script(
        self, step: str, text: str, environment: Mapping[str, str], seconds: float
    ) -> ScriptOutcome:
        directory = self._around.directory / "document/orchestration" / self._command_id / step
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._changed:
            if self._is_cancelled:
                return ScriptOutcome(Ending.CANCELLED, -1, b"", b"")
            self._script = Script(directory / "_script.sh", text, environment=environment)
        return self._script.wait(seconds)

    def _await_notice(self) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_cancelled, _NOTICE_SECONDS * self._around.second
            )

    def _inside_root(self, values: ParameterValues) -> ParameterValues:
        """Move the value of `Checkout` below the host's root: the only stand-in for a chroot.

        A host of the sandbox has no file system of its own, only a directory. The document does
        not know that: with `/srv/site` it means the host's.
        """
        checkout = "".join(values.get("Checkout", ()))
        if not checkout.startswith("/"):
            return values
        return {**values, "Checkout": (f"{self._around.root}{checkout}",)}


def _judge(outcome: ScriptOutcome) -> tuple[Status, int, str, str]:
    """Return the step's status, its exit code, and the agent's additions to stdout and stderr."""
    code = outcome.exit_code
    if outcome.ending is Ending.CANCELLED:
        return CANCELLED, _KILLED, "", ""
    if outcome.ending is Ending.HELD:
        return FAILED, _HELD, "", ""
    if outcome.ending is Ending.LIMIT or code == _KILLED:
        return EXECUTION_TIMED_OUT, _KILLED, "", ""
    skipped = f"Step exits with code {code}. Therefore the remaining steps are skipped"
    if code in {0, _SKIP_AS_SUCCESS}:
        return SUCCESS, code, skipped if code else "", ""
    if code == _SKIP_AS_FAILURE:
        return FAILED, code, "", skipped
    how = "signal: killed" if code < 0 else f"exit status {code}"
    return FAILED, code, "", f"failed to run commands: {how}"
