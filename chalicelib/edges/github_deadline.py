"""Calls GitHub within the seconds that a delivery can spare: a deploy never waits for its report.

A socket's time-outs bound neither a DNS look-up nor an answer that comes byte by byte. So each
request has a thread of its own, and a thread that is not done in time is abandoned.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from chalicelib.core.deployments import Cause, Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github import GitHub, RepositoryDeployments

KEPT_FOR_AWS_SECONDS = 1.0
LATEST_SECONDS = 5.0  # past the delivery's deadline; GitHub still gets its answer within ten
AT_ONCE = 8

Answer = TypeVar("Answer")


class PromptGitHub:
    """Opens deployments, and posts failures at once. A call takes its `seconds` at most."""

    def __init__(
        self,
        github: GitHub,
        delivery_deadline: Deadline,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`delivery_deadline` is for the AWS calls that follow. `clock` is in seconds."""
        self._github = github
        self._delivery_deadline = delivery_deadline
        self._clock = clock

    def open(
        self, cause: Cause, requests: Sequence[DeploymentRequest], *, seconds: float
    ) -> tuple[Sequence[tuple[Deployment, bool] | PulleyError], float]:
        """Each request's deployment and whether it is new, or its error; and the seconds left."""
        seconds = min(seconds, self._delivery_deadline.left() - KEPT_FOR_AWS_SECONDS)
        deployments, began = self._of(cause, seconds), self._clock()
        calls = [partial(_find_or_create, deployments, one) for one in requests]
        answers = self._in_time(calls, seconds)
        used = self._clock() - began
        # A slow GitHub must not take the time of the retries of AWS calls.
        self._delivery_deadline.extend(used)
        return answers, seconds - used

    def post(
        self, cause: Cause, posts: Sequence[tuple[int, DeploymentStatus]], *, seconds: float
    ) -> Sequence[PulleyError | None]:
        """Post each status; return the error of each that failed, else None.

        The answer to the delivery comes first: if AWS took all of the time, nothing is posted.
        """
        seconds = min(seconds, self._delivery_deadline.left() + LATEST_SECONDS)
        deployments = self._of(cause, seconds)
        calls = [partial(deployments.post, id_, status) for id_, status in posts]
        return self._in_time(calls, seconds)

    def _of(self, cause: Cause, seconds: float) -> RepositoryDeployments:
        # Each call gets its own deadline: that of an earlier, abandoned request must not change.
        deadline = Deadline(self._clock, who="GitHub")
        deadline.restart(seconds)
        return self._github.of(cause.repository, cause.token, deadline)

    def _in_time(
        self, calls: Sequence[Callable[[], Answer]], seconds: float
    ) -> list[Answer | PulleyError]:
        began = self._clock()
        answers: list[Answer | PulleyError] = [
            UnavailableError("GitHub did not answer in time") for _ in calls
        ]
        turns, done = iter(range(len(calls))), threading.Semaphore(0)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    turn = next(turns, None)
                if turn is None:
                    return
                try:
                    answers[turn] = calls[turn]()
                except PulleyError as error:
                    answers[turn] = error
                finally:  # also after an unexpected error, which ends the thread
                    done.release()

        for _ in range(min(AT_ONCE, len(calls))):
            threading.Thread(target=work, daemon=True).start()
        for _ in calls:
            if not done.acquire(timeout=max(0.0, seconds - (self._clock() - began))):
                break
        return list(answers)


def _find_or_create(
    deployments: RepositoryDeployments, request: DeploymentRequest
) -> tuple[Deployment, bool]:
    found = deployments.find(request)
    return (found, False) if found else (deployments.create(request), True)
