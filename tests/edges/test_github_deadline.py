"""During a delivery, GitHub gets a limited time, even if it is slow or fails."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest

from chalicelib.core.deployments import Cause, Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.refs import CommitSha
from chalicelib.edges.aws import DELIVERY_SECONDS, Deadline
from chalicelib.edges.github import GitHub
from chalicelib.edges.github_api import RateLimitError, TokenError
from chalicelib.edges.github_deadline import (
    AT_ONCE,
    KEPT_FOR_AWS_SECONDS,
    LATEST_SECONDS,
    PromptGitHub,
)
from tests.edges.scripted_server import Raw, Request, ScriptedServer, answer
from tests.fakes import COMMIT, GUID, SITE, STAGE, FakeClock

pytestmark = pytest.mark.timeout(30)

CAUSE = Cause(
    SITE, CommitSha(COMMIT), "push", datetime(2030, 1, 1, tzinfo=UTC), token="github_pat_secret"
)
GITHUB_SECONDS = 2.0
GENEROUS = GITHUB_SECONDS + 1
STATUS = DeploymentStatus("error", "not sent to any host: no")
LATE = "GitHub did not answer in time"

Opened = Sequence[tuple[Deployment, bool] | PulleyError]


def request_for(number: int) -> DeploymentRequest:
    target = f"web-{number}"
    return DeploymentRequest(CommitSha(COMMIT), target, STAGE, target, GUID)


def requests(count: int) -> list[DeploymentRequest]:
    return [request_for(number) for number in range(count)]


def shown(number: int) -> dict[str, object]:
    one = request_for(number)
    return {
        "id": number + 1,
        "sha": COMMIT,
        "environment": one.environment,
        "payload": one.payload,
        "created_at": "2026-07-20T01:19:13Z",
    }


def number_of(request: Request) -> int:
    """The target's number, from the environment in the request."""
    if request.method == "POST":
        return int(request.json["environment"].removeprefix("web-"))
    return int(request.target.partition("environment=web-")[2].partition("&")[0])


def make_all(request: Request) -> Raw:
    """GitHub finds no deployment and creates each."""
    return answer([]) if request.method == "GET" else answer(shown(number_of(request)), 201)


class Prompt:
    """A server and the edge that sends requests to it; the delivery has just begun."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.deadline = Deadline()
        self.deadline.restart()
        self.github = GitHub(server.url)
        self.edge = PromptGitHub(self.github, self.deadline)
        self.left = GITHUB_SECONDS  # seconds of the delivery left for GitHub

    def open(self, count: int = 1) -> tuple[Opened, float]:
        """The answers, and the seconds that they took."""
        began = time.monotonic()
        answers, self.left = self.edge.open(CAUSE, requests(count), seconds=GITHUB_SECONDS)
        return answers, time.monotonic() - began

    def post(self, count: int = 1) -> tuple[Sequence[PulleyError | None], float]:
        began = time.monotonic()
        posts = [(number, STATUS) for number in range(count)]
        answers = self.edge.post(CAUSE, posts, seconds=self.left)
        return answers, time.monotonic() - began


@pytest.fixture
def prompt() -> Iterator[Prompt]:
    before = set(threading.enumerate())
    with ScriptedServer(make_all) as server:
        prompt = Prompt(server)
        yield prompt
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    prompt.github._pool.clear()


def reasons(answers: Sequence[object]) -> set[str]:
    assert all(isinstance(one, UnavailableError) for one in answers)
    return {str(one) for one in answers}


class TestOpen:
    def test_without_deployments_to_open_nothing_is_requested(self, prompt: Prompt) -> None:
        assert list(prompt.open(0)[0]) == []
        assert prompt.server.requests == []

    def test_missing_deployment_is_created_as_new(self, prompt: Prompt) -> None:
        (opened,), _ = prompt.open()
        assert isinstance(opened, tuple)
        deployment, is_new = opened
        assert (deployment.id, deployment.target, is_new) == (1, "web-0", True)
        assert [request.method for request in prompt.server.requests] == ["GET", "POST"]

    def test_existing_deployment_is_not_created_again(self, prompt: Prompt) -> None:
        prompt.server.script = lambda one: answer([shown(number_of(one))])
        (opened,), _ = prompt.open()
        assert isinstance(opened, tuple)
        assert (opened[0].id, opened[1]) == (1, False)
        assert [request.method for request in prompt.server.requests] == ["GET"]

    def test_time_spent_on_github_is_added_to_the_deadline_of_aws(self, prompt: Prompt) -> None:
        before = prompt.deadline.left()

        def slowly(request: Request) -> Raw:
            time.sleep(0.3)
            return answer([shown(number_of(request))])

        prompt.server.script = slowly
        _, seconds = prompt.open()
        assert seconds >= 0.3
        assert prompt.deadline.left() > before - seconds / 2

    def test_answers_are_in_the_order_of_the_requests(self, prompt: Prompt) -> None:
        def later_ones_first(request: Request) -> Raw:
            number = number_of(request)
            pause = 0.01 * (20 - number) if request.method == "GET" else 0
            if number % 2:
                return prompt.server.silent(pause, answer([shown(number)]))
            return prompt.server.silent(pause, make_all(request))

        prompt.server.script = later_ones_first
        answers, seconds = prompt.open(20)
        assert [one[0].id for one in answers if isinstance(one, tuple)] == list(range(1, 21))
        assert [one[1] for one in answers if isinstance(one, tuple)] == [True, False] * 10
        assert seconds < GITHUB_SECONDS

    def test_requests_run_in_parallel_up_to_a_limit(self, prompt: Prompt) -> None:
        now, most, lock = 0, 0, threading.Lock()

        def slow(request: Request) -> Raw:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            prompt.server.wait(0.1)
            with lock:
                now -= 1
            return answer([shown(number_of(request))])

        prompt.server.script = slow
        answers, seconds = prompt.open(20)
        assert all(isinstance(one, tuple) for one in answers)
        assert 1 < most <= AT_ONCE
        assert seconds < 20 * 0.1

    def test_failure_of_one_deployment_does_not_affect_the_others(self, prompt: Prompt) -> None:
        def some_fail(request: Request) -> Raw:
            if number_of(request) == 1:
                return answer({"message": "Validation Failed"}, 422)
            return make_all(request)

        prompt.server.script = some_fail
        answers, _ = prompt.open(3)
        assert [isinstance(one, tuple) for one in answers] == [True, False, True]
        assert "Validation Failed" in str(answers[1])

    @pytest.mark.parametrize(
        ("raw", "kind"),
        [
            (answer({"message": "Bad credentials"}, 401), TokenError),
            (answer({"message": "slow down"}, 429), RateLimitError),
            (answer({"message": "Server Error"}, 500), UnavailableError),
            (answer(b"<html>"), UnavailableError),
            (Raw([], reset=True), UnavailableError),
        ],
        ids=["401", "429", "500", "HTML", "reset"],
    )
    def test_failed_request_is_returned_at_once(
        self, prompt: Prompt, raw: Raw, kind: type[PulleyError]
    ) -> None:
        prompt.server.script = lambda _request: raw
        answers, seconds = prompt.open(20)
        assert {type(one) for one in answers} == {kind}
        assert seconds < 1
        if kind is not UnavailableError:
            assert len(prompt.server.requests) <= AT_ONCE

    def test_closed_port_is_returned_at_once(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        edge = PromptGitHub(GitHub(f"http://127.0.0.1:{port}"), Deadline())
        began = time.monotonic()
        answers, _ = edge.open(CAUSE, requests(20), seconds=GITHUB_SECONDS)
        assert time.monotonic() - began < 1
        assert reasons(answers) == {"GitHub could not be reached"}

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_crash_in_a_thread_is_not_waited_for(self, prompt: Prompt) -> None:
        prompt.github.call = None  # type: ignore[assignment,method-assign] # the fault
        answers, seconds = prompt.open(3)
        assert reasons(answers) == {LATE}
        assert seconds < 1


def silent(server: ScriptedServer) -> Callable[[Request], Raw]:
    return lambda _request: server.silent(30, answer([]))


def dripping_headers(server: ScriptedServer) -> Callable[[Request], Raw]:
    return lambda _request: server.dripping(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000, 0.1)


def dripping_body(server: ScriptedServer) -> Callable[[Request], Raw]:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"

    def script(_request: Request) -> Raw:
        drips = server.dripping(b"[" + b" " * 9998 + b"]", 0.1)
        return Raw(part for parts in ([whole], drips.parts) for part in parts)

    return script


def redirecting(server: ScriptedServer) -> Callable[[Request], Raw]:
    moved = answer({}, 307, Location="/repositories/5/deployments?environment=web-0&")
    return lambda _request: server.silent(0.9, moved)


SLOW = [silent, dripping_headers, dripping_body, redirecting]
each_slow_server = pytest.mark.parametrize("slow", SLOW)


class TestOpenInTime:
    @each_slow_server
    def test_slow_github_is_not_waited_for(
        self, prompt: Prompt, slow: Callable[[ScriptedServer], Callable[[Request], Raw]]
    ) -> None:
        prompt.server.script = slow(prompt.server)
        answers, seconds = prompt.open(20)
        assert len(answers) == 20
        assert reasons(answers) <= {LATE, "GitHub could not be reached"}
        assert GITHUB_SECONDS - 0.2 < seconds < GENEROUS

    def test_slow_name_resolution_is_not_waited_for(
        self, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        awake = threading.Event()
        looked_up = []
        look_up = socket.getaddrinfo

        def sleepy(*address: object, **how: object) -> object:
            looked_up.append(address)
            awake.wait(20)
            return look_up(*address, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", sleepy)
        try:
            answers, seconds = prompt.open(3)
            assert reasons(answers) == {LATE}
            assert seconds < GENEROUS
        finally:
            awake.set()
        time.sleep(0.3)
        # The look-up began in time, so one request may go out; none follows.
        assert {request.method for request in prompt.server.requests} <= {"GET"}
        assert len(looked_up) == 3

    def test_answers_in_time_are_kept(self, prompt: Prompt) -> None:
        def some_are_slow(request: Request) -> Raw:
            if number_of(request) in {1, 3}:
                return prompt.server.silent(30, make_all(request))
            return make_all(request)

        prompt.server.script = some_are_slow
        answers, seconds = prompt.open(12)
        assert [isinstance(one, tuple) for one in answers] == [
            number not in {1, 3} for number in range(12)
        ]
        assert seconds < GENEROUS

    def test_late_thread_begins_no_further_request(self, prompt: Prompt) -> None:
        prompt.deadline.restart(KEPT_FOR_AWS_SECONDS + 0.5)
        whole = list(answer([]).parts)

        def late(_request: Request) -> Raw:
            def parts() -> Iterator[bytes]:
                for part in whole:
                    prompt.server.wait(
                        0.4
                    )  # each part is in time for the socket, both are too late
                    yield part

            return Raw(parts(), close=False)

        prompt.server.script = late
        answers, _ = prompt.open(20)
        assert reasons(answers) <= {LATE, "GitHub could not be reached"}
        time.sleep(0.8)  # now the threads have their answers
        assert {request.method for request in prompt.server.requests} == {"GET"}
        assert len(prompt.server.requests) <= AT_ONCE

    def test_late_thread_does_not_disturb_the_next_delivery(self, prompt: Prompt) -> None:
        prompt.deadline.restart(KEPT_FOR_AWS_SECONDS + 0.3)
        prompt.server.script = silent(prompt.server)
        assert reasons(prompt.open(3)[0]) <= {LATE, "GitHub could not be reached"}
        prompt.server.script = make_all
        prompt.deadline.restart()
        answers, _ = prompt.open(3)
        assert [one[0].id for one in answers if isinstance(one, tuple)] == [1, 2, 3]

    @pytest.mark.parametrize("left", [0.5, 0.2])
    def test_time_for_github_shrinks_near_the_deadline_of_aws(
        self, prompt: Prompt, left: float
    ) -> None:
        prompt.deadline.restart(KEPT_FOR_AWS_SECONDS + left)
        prompt.server.script = silent(prompt.server)
        answers, seconds = prompt.open(3)
        assert reasons(answers) <= {LATE, "GitHub could not be reached"}
        assert left - 0.1 < seconds < left + 0.7

    @pytest.mark.parametrize("left", [KEPT_FOR_AWS_SECONDS, 0.5, 0, -3])
    def test_without_time_left_nothing_is_requested(self, prompt: Prompt, left: float) -> None:
        prompt.deadline.restart(left)
        answers, seconds = prompt.open(20)
        assert reasons(answers) == {LATE}
        assert seconds < 0.5
        time.sleep(0.1)
        assert prompt.server.requests == []


class TestOpenTimeLeft:
    """The clock moves only while GitHub answers."""

    @pytest.mark.parametrize(
        ("given", "aws", "takes", "left"),
        [
            (2.0, 9.0, 0.0, 2.0),
            (2.0, 9.0, 0.5, 1.5),
            (1.0, 9.0, 0.25, 0.75),
            (2.0, KEPT_FOR_AWS_SECONDS + 0.5, 0.25, 0.25),
            (2.0, KEPT_FOR_AWS_SECONDS - 0.5, 0.0, -0.5),
        ],
    )
    def test_time_left_is_of_the_given_time_or_of_the_time_that_aws_leaves(
        self, given: float, aws: float, takes: float, left: float
    ) -> None:
        clock = FakeClock()
        deadline = Deadline(clock)
        deadline.restart(aws)

        def take(request: Request) -> Raw:
            clock.now += takes
            return answer([shown(number_of(request))])

        with ScriptedServer(take) as server:
            github = GitHub(server.url)
            edge = PromptGitHub(github, deadline, clock)
            assert edge.open(CAUSE, requests(1), seconds=given)[1] == left
            assert deadline.left() == aws  # the time for GitHub is added again
            github._pool.clear()


class TestPost:
    def test_each_status_is_posted(self, prompt: Prompt) -> None:
        prompt.open()
        prompt.server.script = lambda _one: answer({"id": 1, "state": "error"}, 201)
        said, _ = prompt.post(10)
        assert list(said) == [None] * 10
        posted = prompt.server.requests[2:]
        assert {one.target.rpartition("deployments/")[2] for one in posted} == {
            f"{number}/statuses" for number in range(10)
        }
        assert all(one.json["state"] == "error" for one in posted)

    def test_failure_of_one_status_does_not_affect_the_others(self, prompt: Prompt) -> None:
        prompt.open()

        def script(request: Request) -> Raw:
            return answer({}, 404 if "/1/" in request.target else 201)

        prompt.server.script = script
        said, _ = prompt.post(3)
        assert [one is None for one in said] == [True, False, True]

    @pytest.mark.parametrize("left", [0.0, -1.0])
    def test_without_time_left_nothing_is_posted(self, prompt: Prompt, left: float) -> None:
        prompt.left = left
        said, seconds = prompt.post(3)
        assert reasons(said) == {LATE}
        assert seconds < 0.5
        assert prompt.server.requests == []

    def test_post_has_the_time_that_open_left(self, prompt: Prompt) -> None:
        prompt.server.script = lambda request: prompt.server.silent(0.5, make_all(request))
        _, opening = prompt.open()
        assert 0.9 < opening < GITHUB_SECONDS
        prompt.server.script = silent(prompt.server)
        said, posting = prompt.post(3)
        assert reasons(said) <= {LATE, "GitHub could not be reached"}
        assert posting < GITHUB_SECONDS - 0.3
        assert opening + posting < GENEROUS

    def test_nothing_is_posted_after_open_took_all_the_time(self, prompt: Prompt) -> None:
        prompt.server.script = silent(prompt.server)
        prompt.open(1)
        asked = len(prompt.server.requests)
        said, seconds = prompt.post(3)
        assert reasons(said) == {LATE}
        assert seconds < 0.5
        assert len(prompt.server.requests) == asked

    def test_time_between_open_and_post_does_not_count(self) -> None:
        clock = FakeClock()
        with ScriptedServer(make_all) as server:
            github = GitHub(server.url)
            edge = PromptGitHub(github, Deadline(clock), clock)
            _, left = edge.open(CAUSE, requests(1), seconds=GITHUB_SECONDS)
            clock.now += 5
            server.script = lambda _one: answer({}, 201)
            assert list(edge.post(CAUSE, [(1, STATUS)], seconds=left)) == [None]
            github._pool.clear()

    @pytest.mark.parametrize(("early", "is_said"), [(1.5, True), (0.0, False), (-9.0, False)])
    def test_status_is_posted_only_if_aws_left_time(self, early: float, *, is_said: bool) -> None:
        clock = FakeClock()
        deadline = Deadline(clock)
        deadline.restart()
        with ScriptedServer(make_all) as server:
            github = GitHub(server.url)
            edge = PromptGitHub(github, deadline, clock)
            _, left = edge.open(CAUSE, requests(1), seconds=GITHUB_SECONDS)
            asked = len(server.requests)
            clock.now += DELIVERY_SECONDS + LATEST_SECONDS - early
            server.script = lambda _one: answer({}, 201)
            (said,) = edge.post(CAUSE, [(1, STATUS)], seconds=left)
            assert (said is None) is is_said
            assert str(said) == LATE or is_said
            assert len(server.requests) - asked == is_said
            github._pool.clear()
