"""GitHub within the time that a delivery has for it: a deploy never waits for its report.

A socket's time-outs do not bound a name that is looked up, or an answer that drips. So each request
has a thread of its own, and one that is not done in time is left behind.
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
LATEST_SECONDS = 5.0  # past the delivery's deadline, which leaves GitHub its answer in ten
AT_ONCE = 8

Answer = TypeVar("Answer")


class PromptGitHub:
    """Opens deployments and says what failed at once. Errors are values here, one a request.

    Each call is handed the seconds that it may take.
    """

    def __init__(
        self,
        github: GitHub,
        delivery_deadline: Deadline,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`delivery_deadline` is that of the AWS calls, which come after. `clock` is in seconds."""
        self._github = github
        self._delivery_deadline = delivery_deadline
        self._clock = clock

    def open(
        self, cause: Cause, requests: Sequence[DeploymentRequest], *, seconds: float
    ) -> tuple[Sequence[tuple[Deployment, bool] | PulleyError], float]:
        """Each request's deployment and whether it is new, or why there is none, in their order.

        And the seconds that are left of those that there were.
        """
        seconds = min(seconds, self._delivery_deadline.left() - KEPT_FOR_AWS_SECONDS)
        deployments, began = self._of(cause, seconds), self._clock()
        calls = [partial(_find_or_create, deployments, one) for one in requests]
        answers = self._in_time(calls, seconds)
        used = self._clock() - began
        # A silent GitHub must not cost AWS its retries.
        self._delivery_deadline.extend(used)
        return answers, seconds - used

    def post(
        self, cause: Cause, posts: Sequence[tuple[int, DeploymentStatus]], *, seconds: float
    ) -> Sequence[PulleyError | None]:
        """Say how deployments stand; for each why it could not be said.

        The answer to the delivery comes first: where AWS took all of its time, nothing is said.
        """
        seconds = min(seconds, self._delivery_deadline.left() + LATEST_SECONDS)
        deployments = self._of(cause, seconds)
        calls = [partial(deployments.post, id_, status) for id_, status in posts]
        return self._in_time(calls, seconds)

    def _of(self, cause: Cause, seconds: float) -> RepositoryDeployments:
        # Of this use alone: a request that is left behind keeps its own.
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
                finally:  # a fault of ours too, which ends the thread, is not waited for
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
