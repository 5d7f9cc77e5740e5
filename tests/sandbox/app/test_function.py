"""A function that EventBridge calls, in a small app of the test."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pulley.sandbox.app.function import Function, FunctionError, FunctionOutcome

pytestmark = pytest.mark.timeout(60)

Start = Callable[..., Function]
PATTERN = {"source": ["aws.ssm"], "detail": {"document-name": [{"prefix": "Pulley-"}]}}
CONFIG = """\
{
  "lambda_timeout": 20,
  "environment_variables": {"OF_ALL": "all", "OF_EACH": "the app's"},
  "stages": {"dev": {"environment_variables": {"OF_EACH": "dev's"}}}
}
"""
APP = f"""\
import os
import sys
import time
from chalice import Chalice

app = Chalice(app_name="throw-away")
calls = []


@app.on_cw_event({PATTERN})
def take(event):
    words = event.detail["do"]
    calls.append(words)
    print("asked to", words)
    if words == "fail":
        raise ValueError("planned")
    if words == "fail twice" and calls.count(words) < 3:
        raise ValueError("planned")
    if words == "die":
        os._exit(3)
    if words == "hang":
        time.sleep(60)
    if words.startswith("meet"):  # both processes are here at once
        with open(f"here-{{os.getpid()}}", "w"):
            pass
        while len([one for one in os.listdir() if one.startswith("here-")]) < 2:
            time.sleep(0.01)
        if words == "meet and say who":
            return os.getpid()
    if words == "read":
        return sys.stdin.read()
    if words == "return a set":
        return {{1}}
    if words == "environment":
        return {{key: os.environ.get(key) for key in ("OF_ALL", "OF_EACH", "GIVEN")}}
    if words == "process":
        return os.getpid()
    return [words, len(calls)]


@app.schedule("rate(1 hour)")
def tidy(event):
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / ".chalice").mkdir(parents=True)
    (folder / ".chalice/config.json").write_text(CONFIG)
    (folder / "app.py").write_text(APP)
    return folder


@pytest.fixture
def start(project: Path, tmp_path: Path) -> Iterator[Start]:
    started: list[Function] = []

    def start_function(
        name: str = "take", *, retry_seconds: float = 0, at_once: int = 1, **environ: str
    ) -> Function:
        function = Function(
            name,
            environ,
            stage="dev",
            log=tmp_path / "log",
            project=project,
            retry_seconds=retry_seconds,
            at_once=at_once,
        )
        started.append(function)
        return function

    yield start_function
    for function in started:
        function.close()


def event(words: str, **changed: object) -> dict[str, object]:
    detail = {"document-name": "Pulley-dev", "do": words}
    rest = {"source": "aws.ssm", "region": "eu-west-1", "account": "1", "id": "1", "time": ""}
    kind = {"detail-type": "EC2 Command Status-change Notification", "resources": [], "version": ""}
    return {**rest, **kind, "detail": detail, **changed}


def ask(function: Function, *words: str) -> list[FunctionOutcome]:
    """Invoke with each word, and return all outcomes so far."""
    for each in words:
        function.invoke(event(each))
    function.wait_until_idle()
    return function.outcomes


def is_running(process: object) -> bool:
    assert isinstance(process, int)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


class TestInvoke:
    def test_one_warm_process_takes_events_in_order(self, start: Start) -> None:
        returned = (["a", 1], ["b", 2], ["c", 3])
        assert ask(start(), "a", "b", "c") == [FunctionOutcome(one) for one in returned]

    def test_failing_event_is_tried_three_times_and_its_error_recorded(
        self, start: Start, tmp_path: Path
    ) -> None:
        function = start()
        failed, next_one = ask(function, "fail", "greet")
        assert failed == FunctionOutcome(error="ValueError: planned", attempts=3)
        assert next_one == FunctionOutcome(["greet", 4])
        assert "Traceback" in (tmp_path / "log").read_text()

    def test_event_that_succeeds_at_the_third_attempt_has_no_error(self, start: Start) -> None:
        assert ask(start(), "fail twice") == [FunctionOutcome(["fail twice", 3], attempts=3)]

    def test_next_attempt_waits_for_retry_seconds(self, start: Start) -> None:
        function = start(retry_seconds=0.2)
        begun = time.monotonic()
        ask(function, "fail")
        assert time.monotonic() - begun >= 0.4

    def test_second_retry_waits_twice_as_long_as_the_first(self, start: Start) -> None:
        function = start(retry_seconds=0.2)
        begun = time.monotonic()
        ask(function, "fail")
        assert time.monotonic() - begun >= 0.6

    def test_process_that_dies_is_an_error_and_a_new_process_takes_the_next_event(
        self, start: Start
    ) -> None:
        died, next_one = ask(start(), "die", "greet")
        assert died == FunctionOutcome(error="its process ended with 3", attempts=3)
        assert next_one == FunctionOutcome(["greet", 1])

    def test_process_that_died_between_events_is_replaced_without_an_error(
        self, start: Start
    ) -> None:
        function = start()
        (first,) = ask(function, "process")
        assert isinstance(first.returned, int)
        os.kill(first.returned, signal.SIGKILL)
        os.waitid(os.P_PID, first.returned, os.WEXITED | os.WNOWAIT)
        assert ask(function, "greet")[1] == FunctionOutcome(["greet", 1])

    def test_hanging_function_is_killed_at_the_stage_s_time_limit(
        self, start: Start, project: Path
    ) -> None:
        (project / ".chalice/config.json").write_text('{"lambda_timeout": 1}')
        hung, next_one = ask(start(), "hang", "greet")
        assert hung == FunctionOutcome(error="it took longer than 1 s", attempts=3)
        assert next_one == FunctionOutcome(["greet", 1])

    def test_returned_value_that_is_not_json_is_an_error(self, start: Start) -> None:
        (outcome,) = ask(start(), "return a set")
        assert outcome.error == "TypeError: Object of type set is not JSON serializable"

    def test_stdin_and_output_of_the_function_do_not_mix_with_its_answer(
        self, start: Start, tmp_path: Path
    ) -> None:
        assert [one.returned for one in ask(start(), "read", "greet")] == ["", ["greet", 2]]
        assert "asked to greet" in (tmp_path / "log").read_text()

    def test_event_that_the_rule_does_not_match_is_not_delivered(self, start: Start) -> None:
        function = start()
        function.invoke(event("greet", source="aws.ec2"))
        function.invoke(event("greet", detail={"document-name": "Other", "do": "greet"}))
        assert ask(function, "greet") == [FunctionOutcome(["greet", 1])]


class TestAtOnce:
    def test_events_at_once_have_processes_of_their_own(self, start: Start) -> None:
        function = start(at_once=2)
        for _ in range(2):
            function.enqueue(event("meet"))
        function.wait_until_idle()
        assert [one.returned for one in function.outcomes] == [["meet", 1]] * 2

    def test_more_events_than_processes_wait(self, start: Start) -> None:
        function = start(at_once=2)
        for words in ("meet", "meet", "process", "process", "process"):
            function.enqueue(event(words))
        function.wait_until_idle()
        processes = [one.returned for one in function.outcomes if isinstance(one.returned, int)]
        assert len(processes) == 3
        assert len({*processes}) <= 2

    def test_event_comes_while_another_waits_for_its_retry(self, start: Start) -> None:
        function = start(at_once=2, retry_seconds=30)
        function.enqueue(event("fail"))
        assert function.run(event("greet")).error == ""

    def test_closing_kills_all_processes(self, start: Start) -> None:
        function = start(at_once=2)
        for _ in range(2):
            function.enqueue(event("meet and say who"))
        function.wait_until_idle()
        processes = [one.returned for one in function.outcomes]
        function.close()
        assert len({*processes}) == 2
        assert not any(map(is_running, processes))


class TestEnqueue:
    def test_event_that_the_rule_does_not_match_is_delivered(self, start: Start) -> None:
        function = start()
        function.enqueue(event("greet", source="pulley"))
        function.wait_until_idle()
        assert function.outcomes == [FunctionOutcome(["greet", 1])]

    def test_event_after_closing_is_dropped(self, start: Start) -> None:
        function = start()
        function.close()
        function.enqueue(event("greet"))
        assert function.outcomes == []


class TestRun:
    def test_queued_events_come_first_and_each_caller_gets_its_own_outcome(
        self, start: Start
    ) -> None:
        function = start()
        function.enqueue(event("first"))
        with ThreadPoolExecutor() as callers:
            calling = {words: callers.submit(function.run, event(words)) for words in ("a", "fail")}
        assert function.outcomes[0] == FunctionOutcome(["first", 1])
        assert calling["fail"].result() == FunctionOutcome(error="ValueError: planned", attempts=3)
        returned = calling["a"].result().returned
        assert isinstance(returned, list)
        assert returned[0] == "a"
        assert len(function.outcomes) == 3

    def test_run_raises_after_its_time_out(self, start: Start) -> None:
        with pytest.raises(TimeoutError):
            start().run(event("hang"), timeout=0.1)

    def test_closed_function_runs_nothing(self, start: Start) -> None:
        function = start()
        function.close()
        with pytest.raises(RuntimeError):
            function.run(event("greet"))


class TestFunction:
    def test_pattern_is_read_from_the_app(self, start: Start) -> None:
        assert start().pattern == PATTERN

    def test_given_environment_overrides_the_stage_s(self, start: Start) -> None:
        (outcome,) = ask(start(GIVEN="given"), "environment")
        assert outcome.returned == {"OF_ALL": "all", "OF_EACH": "dev's", "GIVEN": "given"}
        (outcome,) = ask(start(OF_EACH="given"), "environment")
        assert outcome.returned == {"OF_ALL": "all", "OF_EACH": "given", "GIVEN": None}

    @pytest.mark.parametrize("name", ["nothing", "receive"])
    def test_name_of_no_event_function_is_an_error_at_once(self, start: Start, name: str) -> None:
        with pytest.raises(FunctionError, match=f"no function {name}"):
            start(name)

    def test_app_that_cannot_be_imported_is_an_error_at_once(
        self, start: Start, project: Path
    ) -> None:
        (project / "app.py").write_text("import nothing_of_that_name\n")
        with pytest.raises(FunctionError, match="nothing_of_that_name"):
            start()


class TestWaitUntilIdle:
    def test_wait_until_idle_raises_after_its_time_out(self, start: Start) -> None:
        function = start()
        function.invoke(event("hang"))
        with pytest.raises(TimeoutError):
            function.wait_until_idle(timeout=0.1)

    def test_wait_ends_when_the_function_is_closed(self, start: Start) -> None:
        function = start()
        for words in ("hang", "greet"):
            function.invoke(event(words))
        with ThreadPoolExecutor() as callers:
            waiting = callers.submit(function.wait_until_idle)
            function.close()
            waiting.result(30)


class TestClose:
    def test_closing_leaves_no_process(self, start: Start) -> None:
        function = start()
        (outcome,) = ask(function, "process")
        assert is_running(outcome.returned)
        function.close()
        assert not is_running(outcome.returned)

    def test_closing_does_not_wait_and_drops_queued_events(
        self, start: Start, tmp_path: Path
    ) -> None:
        function = start(retry_seconds=30)
        (first,) = ask(function, "process")
        for words in ("hang", "greet"):
            function.invoke(event(words))
        while "asked to hang" not in (tmp_path / "log").read_text():
            time.sleep(0.01)
        begun = time.monotonic()
        function.close()
        assert time.monotonic() - begun < 10
        assert not is_running(first.returned)
        assert FunctionOutcome(["greet", 2]) not in function.outcomes

    def test_event_after_closing_is_dropped(self, start: Start) -> None:
        function = start()
        function.close()
        function.invoke(event("greet"))
        assert function.outcomes == []
