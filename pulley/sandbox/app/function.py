"""A function of the app that EventBridge calls, as Lambda runs it for an asynchronous invocation.

Another function may call it too, with Lambda's Invoke: see `enqueue`.

It is the real app.py, in a process of its own that stays warm between events; several events at
once have a process each, as in Lambda. Delivering an event never blocks the caller, and no fault of
the function leaves this module as an exception.
"""

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chalice.config import Config

from pulley import project as own
from pulley.sandbox.event_bus import matches

START_SECONDS = 600  # only a process that hangs takes so long
ATTEMPTS = 3  # Lambda's default for an asynchronous invocation: once, and two retries
_LAST_WORDS_SECONDS = 60
_DEFAULT_SECONDS = 60  # Chalice's, for a function whose lambda_timeout is not set


class FunctionError(RuntimeError):
    """The app could not be imported, or has no such function."""


@dataclass(frozen=True)
class FunctionOutcome:
    """How an event ended: what the function returned, or the error of the last attempt."""

    returned: object = None
    error: str = ""
    attempts: int = 1


class Function:
    """Calls a function with events. `outcomes` has an entry for each event that has ended."""

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        name: str,
        environ: Mapping[str, str],
        *,
        stage: str,
        log: Path,
        project: Path | None = None,
        retry_seconds: float = 0.2,
        at_once: int = 1,
    ) -> None:
        """Start its first process. Raises FunctionError with the end of its log.

        The stage's environment variables come from Chalice's configuration; `environ` overrides
        them. Lambda waits one minute before the first retry and two before the second; here
        `retry_seconds` is that minute. By default one event comes after the other, in order.
        """
        project = project or own.project()
        config = _config(project, stage, name)
        self._seconds = float(config.lambda_timeout or _DEFAULT_SECONDS)
        self._environ = {**os.environ, **config.environment_variables, **environ}
        self._name, self._project, self._log = name, project, log
        self._retry_seconds = retry_seconds
        self._closing = threading.Event()
        self.outcomes: list[FunctionOutcome] = []
        # A process dies with the thread that started it, so each thread starts its own.
        self._workers = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix=name)
        self._processes: dict[int, _Process] = {}  # by thread
        self._queued: set[Future[FunctionOutcome]] = set()
        self._lock = threading.Lock()  # for both
        try:
            self.pattern = self._workers.submit(self._living_process).result().pattern
        except BaseException:
            self._workers.shutdown()
            raise

    def invoke(self, event: Mapping[str, object]) -> None:
        """Queue an event if the function's rule matches it and the function is not closed."""
        if matches(self.pattern, event):
            self.enqueue(dict(event))

    def enqueue(self, event: object) -> None:
        """Queue an event if the function is not closed. No rule decides about it."""
        with suppress(RuntimeError):  # closed: an account sends events at its end, too
            self._submit(event)

    def run(self, event: object, *, timeout: float = 600) -> FunctionOutcome:
        """Queue an event, and return the outcome of this event, not of others in the queue.

        Raises TimeoutError after `timeout` seconds, RuntimeError if the function is closed.
        """
        return self._submit(event).result(timeout)

    def wait_until_idle(self, *, timeout: float = 600) -> None:
        """Return when all queued events are done. Raises TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            queued = tuple(self._queued)
        for one in queued:
            with suppress(CancelledError):  # the function is closed
                one.result(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Kill the processes, even during an event, and drop the queued events."""
        self._closing.set()
        with self._lock:
            for process in self._processes.values():
                process.kill()
        self._workers.shutdown(cancel_futures=True)
        for process in self._processes.values():
            process.close()

    def _submit(self, event: object) -> Future[FunctionOutcome]:
        """Queue an event. Raises RuntimeError if the function is closed."""
        with self._lock:
            queued = self._workers.submit(self._take, event)
            self._queued = {queued, *(one for one in self._queued if not one.done())}
        return queued

    def _take(self, event: object) -> FunctionOutcome:
        for attempt in range(1, ATTEMPTS + 1):
            outcome = self._attempt(event, attempt)
            if not outcome.error or self._closing.is_set():
                break
            if attempt < ATTEMPTS:
                self._closing.wait(self._retry_seconds * attempt)
        self.outcomes.append(outcome)
        return outcome

    def _attempt(self, event: object, attempt: int) -> FunctionOutcome:
        try:
            answer = self._living_process().ask(event, self._seconds)
        except FunctionError as error:
            return FunctionOutcome(error=str(error), attempts=attempt)
        return FunctionOutcome(**answer, attempts=attempt)

    def _living_process(self) -> "_Process":
        """The process of this thread. Raises FunctionError."""
        thread = threading.get_ident()
        process = self._processes.get(thread)
        if (process is None or process.is_dead) and not self._closing.is_set():
            if process:
                process.close()
            process = _Process(self._name, self._environ, project=self._project, log=self._log)
            with self._lock:
                self._processes[thread] = process
        if process is None or self._closing.is_set():  # `close` may have killed the previous one
            raise FunctionError("the function is closed")
        return process


class _Process:
    """The app in a process of its own, where runtime.py plays Lambda's part."""

    def __init__(self, name: str, environ: Mapping[str, str], *, project: Path, log: Path) -> None:
        """Start it, and read its pattern. Raises FunctionError."""
        reader, writer = os.pipe()
        self._answers: IO[str] = os.fdopen(reader)
        # It must not outlive us, even if we are killed.
        die_with_us = ["setpriv", "--pdeathsig", "KILL", "--"]
        runtime = [sys.executable, "-u", "-m", "pulley.sandbox.app.runtime", name, str(writer)]
        with log.open("a") as output:
            self._child = subprocess.Popen(
                [*die_with_us, *runtime],
                cwd=project,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[writer],
                text=True,
            )
        os.close(writer)
        try:
            self.pattern: dict[str, object] = self._answer(START_SECONDS)["pattern"]
        except FunctionError as error:
            raise FunctionError(f"{error}:\n{log.read_text()[-2000:]}") from None

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended since the last call."""
        return self._child.poll() is not None

    def ask(self, event: object, seconds: float) -> dict[str, Any]:
        """The answer to an event. Raises FunctionError if the process dies or is too slow."""
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # there will be no answer either
            self._child.stdin.write(json.dumps(event) + "\n")
            self._child.stdin.flush()
        return self._answer(seconds)

    def kill(self) -> None:
        """Kill it, from any thread. Callers that wait for its answer get an error."""
        self._child.kill()

    def close(self) -> None:
        """Kill the process, and close its pipes."""
        self._child.kill()
        self._child.wait()
        self._answers.close()
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # it did not read an event
            self._child.stdin.close()

    def _answer(self, seconds: float) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            in_time = selector.select(seconds)
        line = self._answers.readline() if in_time else ""
        if line.endswith("\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        if in_time:
            with suppress(subprocess.TimeoutExpired):  # it may still write to its log
                self._child.wait(_LAST_WORDS_SECONDS)
        self.close()
        if in_time:
            raise FunctionError(f"its process ended with {self._child.returncode}")
        raise FunctionError(f"it took longer than {seconds:g} s")


def _config(project: Path, stage: str, name: str) -> Config:
    stored = json.loads((project / ".chalice/config.json").read_text())
    return Config(chalice_stage=stage, function_name=name, config_from_disk=stored)
