"""The agent: what a script finds when it runs, and what becomes of what it leaves."""

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import pytest

from pulley.sandbox.account import Account
from pulley.sandbox.run_command.agent import AgentOrder, EmulatedHost
from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.run_command.documents import parse_document
from pulley.sandbox.run_command.events import Event
from pulley.sandbox.run_command.statuses import StepResult
from tests.processes import HANG_SECONDS

pytestmark = pytest.mark.timeout(30)

Add = Callable[..., EmulatedHost]
Store = Callable[..., str]
Send = Callable[..., str]
Run = Callable[..., EmulatedCommand]

BY_ENVIRONMENT: dict[str, dict[str, object]] = {
    "Word": {"type": "String", "default": "hello", "interpolationType": "ENV_VAR"}
}
SECONDS: dict[str, dict[str, object]] = {"Seconds": {"type": "String", "default": "5"}}
LIST: dict[str, dict[str, object]] = {"commands": {"type": "StringList"}}
BY_TEXT: dict[str, dict[str, object]] = {"Word": {"type": "String", "default": "hello"}}


def only_result(command: EmulatedCommand) -> StepResult:
    (invocation,) = command.invocations
    (result,) = invocation.results
    return result


def lines_of(command: EmulatedCommand) -> list[str]:
    return only_result(command).stdout.decode().splitlines()


class TestScript:
    def test_environment_is_the_agent_s_and_not_the_sandbox_s(
        self,
        account: Account,
        add_host: Add,
        store: Store,
        run: Run,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_OPERATOR", "x")
        host = add_host()
        store("env")
        command = run()
        variables = dict(line.split("=", 1) for line in lines_of(command))
        for of_the_shell in ("PWD", "OLDPWD", "SHLVL", "_"):
            variables.pop(of_the_shell, None)
        assert variables == {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "SSM_COMMAND_ID": command.id,
            "AWS_SSM_INSTANCE_ID": host.instance_id,
            "AWS_SSM_REGION_NAME": account.region,
            "AWS_SSM_PLATFORM_NAME": "Ubuntu",
            "AWS_SSM_PLATFORM_VERSION": "24.04",
        }

    def test_what_the_agent_s_unit_sets_reaches_the_script(
        self, account: Account, store: Store, run: Run, tmp_path: Path
    ) -> None:
        unit = {"LANG": "de_DE.UTF-8", "HTTPS_PROXY": "http://proxy:3128"}
        account.add_host("web-1", tags={"fleet": "all"}, root=tmp_path, unit=unit)
        store('echo "$LANG" "$HTTPS_PROXY"')
        assert lines_of(run()) == ["de_DE.UTF-8 http://proxy:3128"]

    def test_path_prefix_comes_before_the_system(
        self, account: Account, store: Store, run: Run, tmp_path: Path
    ) -> None:
        shim = tmp_path / "bin" / "hostname"
        shim.parent.mkdir()
        shim.write_text("#!/bin/sh\necho from the shim\n")
        shim.chmod(0o755)
        account.add_host("web-1", tags={"fleet": "all"}, root=tmp_path, path_prefix=[shim.parent])
        store("hostname")
        assert lines_of(run()) == ["from the shim"]

    def test_stdin_is_empty(self, add_host: Add, store: Store, run: Run) -> None:
        add_host()
        store("read word || echo nothing to read")
        assert lines_of(run()) == ["nothing to read"]

    def test_shebang_chooses_the_interpreter(self, add_host: Add, store: Store, run: Run) -> None:
        add_host()
        store("#!/bin/cat")
        assert lines_of(run()) == ["#!/bin/cat"]

    def test_it_begins_in_the_agent_s_folder_with_its_umask(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("pwd", "umask")
        assert lines_of(run()) == ["/usr/bin", "0022"]

    def test_nobody_else_can_reach_the_script(self, add_host: Add, store: Store, run: Run) -> None:
        add_host()
        store('dirname "$0"', 'basename "$0"')
        directory, name = lines_of(run())
        assert name == "_script.sh"
        assert stat.S_IMODE(Path(directory).stat().st_mode) == 0o700

    def test_script_that_kills_itself_alone_is_taken_for_late(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("echo begun", "kill -s KILL $$")
        result = only_result(run())
        assert (result.status.details, result.exit_code) == ("ExecutionTimedOut", 137)
        assert result.stdout == b"begun\n"

    def test_script_that_kills_its_process_group_kills_nobody_else(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("kill -s KILL 0")
        result = only_result(run())
        assert (result.status.name, result.exit_code) == ("Failed", -1)
        assert result.stderr == b"failed to run commands: signal: killed"

    def test_checkout_lies_in_the_hosts_own_directory(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        host = add_host()
        store(
            'echo "$SSM_Checkout"',
            parameters={"Checkout": {"type": "String", "interpolationType": "ENV_VAR"}},
        )
        assert lines_of(run(Parameters={"Checkout": ["/srv/site"]})) == [f"{host.root}/srv/site"]

    def test_checkout_that_is_not_absolute_stays_as_it_is(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store(
            'echo "$SSM_Checkout"',
            parameters={"Checkout": {"type": "String", "interpolationType": "ENV_VAR"}},
        )
        assert lines_of(run(Parameters={"Checkout": ["srv/site"]})) == ["srv/site"]


class TestDocumentParameters:
    def test_environment_hands_the_value_over_unread(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store('echo "$SSM_Word"', parameters=BY_ENVIRONMENT)
        assert lines_of(run(Parameters={"Word": ["$(echo a); b"]})) == ["$(echo a); b"]

    def test_text_is_read_by_the_shell(self, add_host: Add, store: Store, run: Run) -> None:
        add_host()
        store("echo {{ Word }} {{Word}}", parameters=BY_TEXT)
        assert lines_of(run(Parameters={"Word": ["$(echo a)"]})) == ["a a"]

    @pytest.mark.parametrize(
        ("line", "parameters"),
        [("echo $SSM_Word", BY_ENVIRONMENT), ("echo {{ Word }}", BY_TEXT)],
    )
    def test_default_stands_in_for_a_value_left_out(
        self,
        add_host: Add,
        store: Store,
        run: Run,
        line: str,
        parameters: dict[str, dict[str, object]],
    ) -> None:
        add_host()
        store(line, parameters=parameters)
        assert lines_of(run()) == ["hello"]

    def test_braces_stay_where_the_environment_hands_over(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("echo '{{ Word }}'", parameters=BY_ENVIRONMENT)
        assert lines_of(run()) == ["{{ Word }}"]

    @pytest.mark.parametrize(
        ("version", "said"),
        [("3.3.1142.0", "text:hello"), ("3.3.2746.0", "environment:hello")],
    )
    def test_old_agent_knows_text_only(
        self,
        account: Account,
        store: Store,
        run: Run,
        tmp_path: Path,
        version: str,
        said: str,
    ) -> None:
        account.add_host("web-1", tags={"fleet": "all"}, root=tmp_path, agent_version=version)
        store(
            'if [ "${SSM_Word+set}" ]; then echo "environment:$SSM_Word"; else',
            "echo 'text:{{ Word }}'; fi",
            parameters=BY_ENVIRONMENT,
        )
        assert lines_of(run()) == [said]

    def test_pattern_without_anchors_lets_an_injection_through(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        word: dict[str, object] = {"type": "String", "allowedPattern": "[a-z]+"}
        store("echo {{ Word }}", parameters={"Word": word})
        assert lines_of(run(Parameters={"Word": ["a; echo injected"]})) == ["a", "injected"]

    def test_default_that_its_own_pattern_forbids_fails_the_document_without_a_step(
        self, account: Account, add_host: Add, store: Store, run: Run, tmp_path: Path
    ) -> None:
        host = add_host()
        word: dict[str, object] = {"type": "String", "allowedPattern": "^[a-z]+$", "default": "A"}
        store(f"touch {tmp_path}/ran", parameters={"Word": word})
        command = run()
        (shown,) = account.ssm.list_command_invocations(CommandId=command.id, Details=True)[
            "CommandInvocations"
        ]
        assert (shown["Status"], shown["StatusDetails"]) == ("Failed", "Failed")
        assert shown["CommandPlugins"] == []
        assert shown["TraceOutput"] == "Word does not match ^[a-z]+$"
        got = account.ssm.get_command_invocation(CommandId=command.id, InstanceId=host.instance_id)
        assert (got["Status"], got["ResponseCode"]) == ("Failed", -1)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("as_one_string", [False, True])
    def test_script_may_be_lines_or_one_string(
        self, add_host: Add, store: Store, run: Run, *, as_one_string: bool
    ) -> None:
        add_host()
        store(
            "if true; then",
            "echo {{ Word }}",
            "fi",
            parameters=BY_TEXT,
            as_one_string=as_one_string,
        )
        assert lines_of(run()) == ["hello"]

    @pytest.mark.parametrize("commands", [["echo a"], ["echo a", "echo $$b"]])
    def test_list_in_place_of_the_script_becomes_its_lines(
        self, add_host: Add, store: Store, run: Run, commands: list[str]
    ) -> None:
        add_host()
        store("{{ commands }}", parameters=LIST, as_one_string=True)
        command = run(Parameters={"commands": commands})
        assert len(lines_of(command)) == len(commands)

    @pytest.mark.parametrize("commands", [["echo a"], ["echo a", "echo b"]])
    def test_list_in_an_element_of_the_array_fails_the_step(
        self, add_host: Add, store: Store, run: Run, commands: list[str]
    ) -> None:
        add_host()
        store("{{ commands }}", parameters=LIST)
        result = only_result(run(Parameters={"commands": commands}))
        assert (result.status.name, result.exit_code, result.stdout) == ("Failed", 1, b"")


class TestTimeout:
    def test_script_is_killed_without_warning(
        self, account: Account, add_host: Add, store: Store, send: Send, gate: Path
    ) -> None:
        add_host()
        store(
            f"exec 3>{gate} 2>/dev/null",
            "trap 'echo trapped >&3' EXIT TERM",
            "echo begun",
            "sleep 60",
            timeout="5",
        )
        command_id = send()
        assert gate.read_text() == ""
        result = only_result(account.wait_until_ended(command_id))
        assert (result.status.name, result.status.details) == ("TimedOut", "ExecutionTimedOut")
        assert result.exit_code == 137
        assert result.stdout == b"begun\n"

    def test_limit_may_come_from_a_parameter_by_text(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("sleep 60", timeout="{{ Seconds }}", parameters=SECONDS)
        assert only_result(run()).status.details == "ExecutionTimedOut"

    @pytest.mark.parametrize("limit", ["4", "172801", "soon", "{{ Unknown }}"])
    def test_limit_out_of_range_is_silently_an_hour(
        self, add_host: Add, store: Store, run: Run, limit: str
    ) -> None:
        add_host()
        store("true", timeout=limit)
        assert run().document.steps[0].timeout_seconds({}) == 3600

    def test_child_in_the_group_dies_with_the_script(
        self, add_host: Add, store: Store, send: Send, gate: Path
    ) -> None:
        add_host()
        store(f"(exec 3>{gate}; echo begun >&3; sleep 60) &", "sleep 60", timeout="5")
        send()
        with gate.open() as held_by_child:
            assert held_by_child.read() == "begun\n"

    def test_background_child_that_holds_stdout_keeps_the_command_from_ending(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("sleep 60 &", "echo script is over", timeout="5")
        result = only_result(run())
        assert result.status.details == "ExecutionTimedOut"
        assert result.stdout == b"script is over\n"

    def test_background_child_without_the_pipes_is_not_waited_for(
        self, add_host: Add, store: Store, run: Run, gate: Path, answer: Path
    ) -> None:
        add_host()
        store(f"(read word <{gate}; echo $word >{answer}) >/dev/null 2>&1 &")
        assert only_result(run()).status.name == "Success"
        gate.write_text("alive\n")
        assert answer.read_text() == "alive\n"

    @pytest.mark.parametrize("script_s_own", ["exit 0", "sleep 60"])
    def test_child_outside_the_group_that_holds_stdout_fails_the_run_and_outlives_it(
        self, add_host: Add, store: Store, run: Run, gate: Path, answer: Path, script_s_own: str
    ) -> None:
        add_host()
        child = f"setsid sh -c 'read word <{gate}; echo $word >{answer}' &"
        store("echo begun", child, script_s_own, timeout="5")
        result = only_result(run())
        assert (result.status.details, result.exit_code) == ("Failed", 1)
        assert result.stdout == b"begun\n"
        gate.write_text("alive\n")
        assert answer.read_text() == "alive\n"


class TestExitCode:
    @pytest.mark.parametrize(
        ("code", "details"),
        [
            (0, "Success"),
            (1, "Failed"),
            (71, "Failed"),
            (137, "ExecutionTimedOut"),
            (168, "Success"),
            (169, "Failed"),
        ],
    )
    def test_code_becomes_a_status(
        self, add_host: Add, store: Store, run: Run, code: int, details: str
    ) -> None:
        add_host()
        store(f"exit {code}")
        result = only_result(run())
        assert (result.exit_code, result.status.details) == (code, details)

    def test_194_runs_the_step_again(
        self, add_host: Add, store: Store, run: Run, tmp_path: Path
    ) -> None:
        add_host()
        store(f"mkdir {tmp_path}/rebooted && exit 194", "echo after the reboot")
        result = only_result(run())
        assert (result.exit_code, result.stdout) == (0, b"after the reboot\n")

    def test_failed_step_does_not_stop_the_next(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store(["exit 1"], ["echo second"])
        (invocation,) = run().invocations
        first, second = invocation.results
        assert (first.status.name, second.status.name) == ("Failed", "Success")
        assert second.stdout == b"second\n"
        assert invocation.status.name == "Failed"

    @pytest.mark.parametrize(("code", "status"), [(168, "Success"), (169, "Failed")])
    def test_168_and_169_skip_the_remaining_steps(
        self, add_host: Add, store: Store, run: Run, code: int, status: str
    ) -> None:
        add_host()
        store([f"exit {code}"], ["echo second"])
        (invocation,) = run().invocations
        assert [one.name for one in invocation.results] == ["step1"]
        assert invocation.status.name == status

    @pytest.mark.parametrize(("code", "stream"), [(168, "stdout"), (169, "stderr")])
    def test_168_and_169_leave_a_sentence_of_the_agent_s(
        self, add_host: Add, store: Store, run: Run, code: int, stream: str
    ) -> None:
        add_host()
        store(f"exit {code}")
        assert f"exits with code {code}" in getattr(only_result(run()), stream).decode()


class TestOutput:
    def test_long_streams_keep_24000_bytes_each_with_the_word_for_the_cut(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        host = add_host()
        store(
            "printf begun; head -c 30000 /dev/zero | tr '\\0' x",
            "head -c 30000 /dev/zero | tr '\\0' e >&2; exit 1",
        )
        command = run()
        shown = account.ssm.get_command_invocation(
            CommandId=command.id, InstanceId=host.instance_id
        )
        cut = "--output truncated--"
        assert shown["StandardOutputContent"] == "begun" + "x" * (23_980 - 5) + cut
        assert shown["StandardErrorContent"] == "e" * 23_980 + cut

    def test_stream_of_24000_bytes_is_whole(self, add_host: Add, store: Store, run: Run) -> None:
        add_host()
        store("head -c 24000 /dev/zero | tr '\\0' x")
        assert only_result(run()).stdout == b"x" * 24_000

    def test_more_than_a_pipe_holds_does_not_block_the_script(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("head -c 1000000 /dev/zero", "head -c 1000000 /dev/zero >&2", "exit 5")
        assert only_result(run()).exit_code == 5

    def test_short_output_is_whole(self, add_host: Add, store: Store, run: Run) -> None:
        add_host()
        store("echo out")
        assert only_result(run()).output == "out\n"

    def test_joined_output_is_cut_at_2500_bytes_and_says_so(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("head -c 3000 /dev/zero | tr '\\0' x")
        output = only_result(run()).output
        assert len(output) == 2500
        assert output.endswith("x\n---Output truncated---")

    def test_bytes_that_are_no_text_do_no_harm(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store(r"printf 'a\377b'")
        command = run()
        (shown,) = account.ssm.list_command_invocations(CommandId=command.id, Details=True)[
            "CommandInvocations"
        ]
        assert shown["CommandPlugins"][0]["Output"] == "ab"


class TestHost:
    """Named pipes that the test itself holds open, so that nobody meets an end of file."""

    @pytest.fixture
    def begun(self, answer: Path) -> Iterator[BinaryIO]:
        with answer.open("r+b", buffering=0) as pipe:
            yield pipe

    @pytest.fixture
    def hold(self, gate: Path) -> Iterator[BinaryIO]:
        with gate.open("r+b", buffering=0) as pipe:
            yield pipe

    def test_five_commands_run_at_once(
        self,
        account: Account,
        add_host: Add,
        store: Store,
        send: Send,
        begun: BinaryIO,
        hold: BinaryIO,
        tmp_path: Path,
    ) -> None:
        add_host()
        running = tmp_path / "running"
        running.mkdir()
        store(
            f"touch {running}/$SSM_COMMAND_ID",
            f"ls {running} | wc -l",
            f"echo >{begun.name}",
            f"read word <{hold.name}",
            f"rm {running}/$SSM_COMMAND_ID",
        )
        command_ids = [send() for _ in range(7)]
        for _ in range(5):
            begun.read(1)
        hold.write(b"\n" * 7)
        commands = [account.wait_until_ended(one) for one in command_ids]
        assert max(int(lines_of(command)[0]) for command in commands) == 5

    def test_command_that_is_cancelled_as_it_arrives_is_reported_and_never_runs(
        self, add_host: Add, tmp_path: Path
    ) -> None:
        host = add_host()
        step = {"name": "only", "inputs": {"runCommand": f"touch {tmp_path}/ran"}}
        content = {"mainSteps": [{"action": "aws:runShellScript", **step}]}
        order = AgentOrder(
            "id", parse_document(json.dumps(content), name="x", version="1"), {}, 30.0
        )
        report = host.carry_out(order, delivered=lambda: host.cancel("id"))
        assert (report.status.details, report.results) == ("Cancelled", ())
        assert not (tmp_path / "ran").exists()

    def test_full_host_takes_no_eleventh_command(
        self,
        account: Account,
        add_host: Add,
        store: Store,
        send: Send,
        hold: BinaryIO,
    ) -> None:
        ended: SimpleQueue[object] = SimpleQueue()

        def note_time_out(event: Event) -> None:
            if "'TimedOut'" in str(event["detail"]):
                ended.put(event)

        account.subscribe(note_time_out)
        add_host()
        store(f"read word <{hold.name}")
        command_ids = [send(TimeoutSeconds=30) for _ in range(11)]
        ended.get(timeout=HANG_SECONDS)
        hold.write(b"\n" * 10)
        ends = [account.wait_until_ended(one).status.details for one in command_ids]
        assert sorted(ends) == ["DeliveryTimedOut", *["Success"] * 10]
