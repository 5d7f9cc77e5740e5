"""The agent: the environment of a script, its end, its output and its children."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import pytest

from pulley.sandbox.event_bus import Event
from pulley.sandbox.run_command.agent import AgentOrder
from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.run_command.documents import parse_document
from pulley.sandbox.run_command.statuses import StepResult
from tests.processes import HANG_SECONDS
from tests.sandbox.lab import Lab

pytestmark = pytest.mark.timeout(30)


Declared = dict[str, dict[str, object]]

BY_ENVIRONMENT: Declared = {
    "Word": {"type": "String", "default": "hello", "interpolationType": "ENV_VAR"}
}
SECONDS: Declared = {"Seconds": {"type": "String", "default": "5"}}
LIST: Declared = {"commands": {"type": "StringList"}}
BY_TEXT: Declared = {"Word": {"type": "String", "default": "hello"}}
HALF_CHECKED: Declared = {"Word": {"type": "String", "allowedPattern": "[a-z]+"}}


def only_result(command: EmulatedCommand) -> StepResult:
    (invocation,) = command.invocations
    (result,) = invocation.results
    return result


def lines_of(command: EmulatedCommand) -> list[str]:
    return only_result(command).stdout.decode().splitlines()


class TestScript:
    def test_script_has_the_agent_s_environment_and_not_the_sandbox_s(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_OPERATOR", "x")
        host = lab.add_host()
        lab.store("env")
        command = lab.run()
        variables = dict(line.split("=", 1) for line in lines_of(command))
        for of_the_shell in ("PWD", "OLDPWD", "SHLVL", "_"):
            variables.pop(of_the_shell, None)
        assert variables == {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "SSM_COMMAND_ID": command.id,
            "AWS_SSM_INSTANCE_ID": host.instance_id,
            "AWS_SSM_REGION_NAME": lab.account.region,
            "AWS_SSM_PLATFORM_NAME": "Ubuntu",
            "AWS_SSM_PLATFORM_VERSION": "24.04",
        }

    def test_variables_of_the_agent_s_unit_reach_the_script(self, lab: Lab, tmp_path: Path) -> None:
        unit = {"LANG": "de_DE.UTF-8", "HTTPS_PROXY": "http://proxy:3128"}
        lab.account.add_host("web-1", tags={"fleet": "all"}, root=tmp_path, unit=unit)
        lab.store('echo "$LANG" "$HTTPS_PROXY"')
        assert lines_of(lab.run()) == ["de_DE.UTF-8 http://proxy:3128"]

    def test_path_prefix_comes_before_the_system(self, lab: Lab, tmp_path: Path) -> None:
        shim = tmp_path / "bin" / "hostname"
        shim.parent.mkdir()
        shim.write_text("#!/bin/sh\necho from the shim\n")
        shim.chmod(0o755)
        lab.account.add_host(
            "web-1", tags={"fleet": "all"}, root=tmp_path, path_prefix=[shim.parent]
        )
        lab.store("hostname")
        assert lines_of(lab.run()) == ["from the shim"]

    @pytest.mark.parametrize(
        ("lines", "output"),
        [
            (["read word || echo nothing to read"], ["nothing to read"]),
            (["#!/bin/cat"], ["#!/bin/cat"]),
            (["pwd", "umask"], ["/usr/bin", "0022"]),
        ],
        ids=["stdin is empty", "shebang chooses the interpreter", "folder and umask"],
    )
    def test_script_has_the_stdin_interpreter_folder_and_umask_of_the_agent(
        self, lab: Lab, lines: list[str], output: list[str]
    ) -> None:
        assert lines_of(lab.run_new(*lines)) == output

    def test_only_the_owner_can_enter_the_script_s_folder(self, lab: Lab) -> None:
        lab.add_host()
        lab.store('dirname "$0"', 'basename "$0"')
        directory, name = lines_of(lab.run())
        assert name == "_script.sh"
        assert stat.S_IMODE(Path(directory).stat().st_mode) == 0o700

    def test_script_that_kills_only_itself_is_reported_as_timed_out(self, lab: Lab) -> None:
        result = only_result(lab.run_new("echo begun", "kill -s KILL $$"))
        assert (result.status.details, result.exit_code) == ("ExecutionTimedOut", 137)
        assert result.stdout == b"begun\n"

    def test_script_that_kills_its_process_group_is_reported_as_failed(self, lab: Lab) -> None:
        result = only_result(lab.run_new("kill -s KILL 0"))
        assert (result.status.name, result.exit_code) == ("Failed", -1)
        assert result.stderr == b"failed to run commands: signal: killed"

    def test_absolute_checkout_is_put_below_the_host_s_root(self, lab: Lab) -> None:
        host = lab.add_host()
        checkout = {"type": "String", "interpolationType": "ENV_VAR"}
        lab.store('echo "$SSM_Checkout"', parameters={"Checkout": checkout})
        for given, found in ("/srv/site", f"{host.root}/srv/site"), ("srv/site", "srv/site"):
            assert lines_of(lab.run(Parameters={"Checkout": [given]})) == [found]


class TestDocumentParameters:
    @pytest.mark.parametrize(
        ("line", "parameters", "given", "output"),
        [
            ('echo "$SSM_Word"', BY_ENVIRONMENT, "$(echo a); b", ["$(echo a); b"]),
            ("echo $SSM_Word", BY_ENVIRONMENT, None, ["hello"]),
            ("echo '{{ Word }}'", BY_ENVIRONMENT, None, ["{{ Word }}"]),
            ("echo {{ Word }} {{Word}}", BY_TEXT, "$(echo a)", ["a a"]),
            ("echo {{ Word }}", BY_TEXT, None, ["hello"]),
            ("echo {{ Word }}", HALF_CHECKED, "a; echo injected", ["a", "injected"]),
        ],
        ids=[
            "environment variable keeps the value unread",
            "default by environment",
            "braces stay if the value is an environment variable",
            "shell reads the value in the text",
            "default by text",
            "pattern without anchors lets an injection through",
        ],
    )
    def test_value_reaches_the_script(
        self, lab: Lab, line: str, parameters: Declared, given: str | None, output: list[str]
    ) -> None:
        words = {"Word": [given]} if given else {}
        assert lines_of(lab.run_new(line, parameters=parameters, Parameters=words)) == output

    @pytest.mark.parametrize(
        ("version", "output"),
        [("3.3.1142.0", "text:hello"), ("3.3.2746.0", "environment:hello")],
    )
    def test_old_agent_writes_the_value_into_the_text(
        self, lab: Lab, tmp_path: Path, version: str, output: str
    ) -> None:
        lab.account.add_host("web-1", tags={"fleet": "all"}, root=tmp_path, agent_version=version)
        lab.store(
            'if [ "${SSM_Word+set}" ]; then echo "environment:$SSM_Word"; else',
            "echo 'text:{{ Word }}'; fi",
            parameters=BY_ENVIRONMENT,
        )
        assert lines_of(lab.run()) == [output]

    def test_default_that_does_not_match_its_pattern_fails_before_any_step(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        host = lab.add_host()
        word: dict[str, object] = {"type": "String", "allowedPattern": "^[a-z]+$", "default": "A"}
        lab.store(f"touch {tmp_path}/ran", parameters={"Word": word})
        command = lab.run()
        (shown,) = lab.account.ssm.list_command_invocations(CommandId=command.id, Details=True)[
            "CommandInvocations"
        ]
        assert (shown["Status"], shown["StatusDetails"]) == ("Failed", "Failed")
        assert shown["CommandPlugins"] == []
        assert shown["TraceOutput"] == "Word does not match ^[a-z]+$"
        got = lab.account.ssm.get_command_invocation(
            CommandId=command.id, InstanceId=host.instance_id
        )
        assert (got["Status"], got["ResponseCode"]) == ("Failed", -1)
        assert not (tmp_path / "ran").exists()

    def test_script_may_be_lines_or_one_string(self, lab: Lab) -> None:
        lines = ("if true; then", "echo {{ Word }}", "fi")
        assert lines_of(lab.run_new(*lines, parameters=BY_TEXT)) == ["hello"]
        lab.store(*lines, parameters=BY_TEXT, as_one_string=True, name="one-string")
        assert lines_of(lab.run(DocumentName="one-string")) == ["hello"]

    @pytest.mark.parametrize("commands", [["echo a"], ["echo a", "echo $$b"]])
    def test_list_parameter_works_in_a_string_and_fails_in_an_array_element(
        self, lab: Lab, commands: list[str]
    ) -> None:
        given = {"commands": commands}
        result = only_result(lab.run_new("{{ commands }}", parameters=LIST, Parameters=given))
        assert (result.status.name, result.exit_code, result.stdout) == ("Failed", 1, b"")
        lab.store("{{ commands }}", parameters=LIST, as_one_string=True, name="one-string")
        ran = lab.run(DocumentName="one-string", Parameters=given)
        assert len(lines_of(ran)) == len(commands)


class TestTimeout:
    def test_script_is_killed_without_warning(self, lab: Lab, gate: Path) -> None:
        lab.add_host()
        lab.store(
            f"exec 3>{gate} 2>/dev/null",
            "trap 'echo trapped >&3' EXIT TERM",
            "echo begun",
            "sleep 60",
            timeout="5",
        )
        command_id = lab.send()
        assert gate.read_text() == ""
        result = only_result(lab.account.wait_until_ended(command_id))
        assert (result.status.name, result.status.details) == ("TimedOut", "ExecutionTimedOut")
        assert result.exit_code == 137
        assert result.stdout == b"begun\n"

    def test_time_out_may_come_from_a_parameter(self, lab: Lab) -> None:
        assert (
            only_result(
                lab.run_new("sleep 60", timeout="{{ Seconds }}", parameters=SECONDS)
            ).status.details
            == "ExecutionTimedOut"
        )

    @pytest.mark.parametrize("limit", ["4", "172801", "soon", "{{ Unknown }}"])
    def test_time_out_out_of_range_is_an_hour(self, lab: Lab, limit: str) -> None:
        assert lab.run_new("true", timeout=limit).document.steps[0].timeout_seconds({}) == 3600

    def test_child_in_the_process_group_dies_with_the_script(self, lab: Lab, gate: Path) -> None:
        lab.add_host()
        lab.store(f"(exec 3>{gate}; echo begun >&3; sleep 60) &", "sleep 60", timeout="5")
        lab.send()
        with gate.open() as held_by_child:
            assert held_by_child.read() == "begun\n"

    def test_background_child_that_holds_stdout_delays_the_end_of_the_command(
        self, lab: Lab
    ) -> None:
        result = only_result(lab.run_new("sleep 60 &", "echo script is over", timeout="5"))
        assert result.status.details == "ExecutionTimedOut"
        assert result.stdout == b"script is over\n"

    def test_background_child_without_the_pipes_does_not_delay_the_end(
        self, lab: Lab, gate: Path, answer: Path
    ) -> None:
        assert (
            only_result(
                lab.run_new(f"(read word <{gate}; echo $word >{answer}) >/dev/null 2>&1 &")
            ).status.name
            == "Success"
        )
        gate.write_text("alive\n")
        assert answer.read_text() == "alive\n"

    @pytest.mark.parametrize("script_s_own", ["exit 0", "sleep 60"])
    def test_child_outside_the_group_that_holds_stdout_fails_the_run_and_lives_on(
        self, lab: Lab, gate: Path, answer: Path, script_s_own: str
    ) -> None:
        lab.add_host()
        child = f"setsid sh -c 'read word <{gate}; echo $word >{answer}' &"
        lab.store("echo begun", child, script_s_own, timeout="5")
        result = only_result(lab.run())
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
    def test_code_becomes_a_status(self, lab: Lab, code: int, details: str) -> None:
        result = only_result(lab.run_new(f"exit {code}"))
        assert (result.exit_code, result.status.details) == (code, details)

    def test_194_runs_the_step_again(self, lab: Lab, tmp_path: Path) -> None:
        result = only_result(
            lab.run_new(f"mkdir {tmp_path}/rebooted && exit 194", "echo after the reboot")
        )
        assert (result.exit_code, result.stdout) == (0, b"after the reboot\n")

    def test_failed_step_does_not_stop_the_next(self, lab: Lab) -> None:
        (invocation,) = lab.run_new(["exit 1"], ["echo second"]).invocations
        first, second = invocation.results
        assert (first.status.name, second.status.name) == ("Failed", "Success")
        assert second.stdout == b"second\n"
        assert invocation.status.name == "Failed"

    @pytest.mark.parametrize(("code", "status"), [(168, "Success"), (169, "Failed")])
    def test_168_and_169_skip_the_remaining_steps(self, lab: Lab, code: int, status: str) -> None:
        (invocation,) = lab.run_new([f"exit {code}"], ["echo second"]).invocations
        assert [one.name for one in invocation.results] == ["step1"]
        assert invocation.status.name == status

    @pytest.mark.parametrize(("code", "stream"), [(168, "stdout"), (169, "stderr")])
    def test_168_and_169_add_a_sentence_of_the_agent(
        self, lab: Lab, code: int, stream: str
    ) -> None:
        assert (
            f"exits with code {code}"
            in getattr(only_result(lab.run_new(f"exit {code}")), stream).decode()
        )


class TestOutput:
    def test_long_streams_keep_24000_bytes_each_and_end_with_a_note_of_the_cut(
        self, lab: Lab
    ) -> None:
        host = lab.add_host()
        lab.store(
            "printf begun; head -c 30000 /dev/zero | tr '\\0' x",
            "head -c 30000 /dev/zero | tr '\\0' e >&2; exit 1",
        )
        command = lab.run()
        shown = lab.account.ssm.get_command_invocation(
            CommandId=command.id, InstanceId=host.instance_id
        )
        cut = "--output truncated--"
        assert shown["StandardOutputContent"] == "begun" + "x" * (23_980 - 5) + cut
        assert only_result(command).stderr == b"e" * 23_980 + cut.encode()

    @pytest.mark.parametrize("length", [8_000, 8_001])
    def test_of_stderr_the_api_shows_the_first_8000_characters(self, lab: Lab, length: int) -> None:
        host = lab.add_host()
        lab.store(f"printf first >&2; head -c {length - 5} /dev/zero | tr '\\0' e >&2")
        command = lab.run()
        shown = lab.account.ssm.get_command_invocation(
            CommandId=command.id, InstanceId=host.instance_id
        )
        assert len(only_result(command).stderr) == length
        assert shown["StandardErrorContent"] == "first" + "e" * 7_995

    def test_stream_of_24000_bytes_is_whole(self, lab: Lab) -> None:
        assert (
            only_result(lab.run_new("head -c 24000 /dev/zero | tr '\\0' x")).stdout == b"x" * 24_000
        )

    def test_output_larger_than_a_pipe_does_not_block_the_script(self, lab: Lab) -> None:
        assert (
            only_result(
                lab.run_new("head -c 1000000 /dev/zero", "head -c 1000000 /dev/zero >&2", "exit 5")
            ).exit_code
            == 5
        )

    def test_short_output_is_whole(self, lab: Lab) -> None:
        assert only_result(lab.run_new("echo out")).output == "out\n"

    def test_joined_output_is_cut_at_2500_bytes_and_ends_with_a_note(self, lab: Lab) -> None:
        lab.add_host()
        lab.store("head -c 3000 /dev/zero | tr '\\0' x")
        output = only_result(lab.run()).output
        assert len(output) == 2500
        assert output.endswith("x\n---Output truncated---")

    def test_bytes_that_are_not_utf_8_are_left_out(self, lab: Lab) -> None:
        command = lab.run_new(r"printf 'a\377b'")
        (shown,) = lab.account.ssm.list_command_invocations(CommandId=command.id, Details=True)[
            "CommandInvocations"
        ]
        assert shown["CommandPlugins"][0]["Output"] == "ab"


class TestHost:
    """The test holds the named pipes open, so that no reader meets an end of file."""

    @pytest.fixture
    def begun(self, answer: Path) -> Iterator[BinaryIO]:
        with answer.open("r+b", buffering=0) as pipe:
            yield pipe

    @pytest.fixture
    def hold(self, gate: Path) -> Iterator[BinaryIO]:
        with gate.open("r+b", buffering=0) as pipe:
            yield pipe

    def test_five_commands_run_at_once(
        self, lab: Lab, begun: BinaryIO, hold: BinaryIO, tmp_path: Path
    ) -> None:
        lab.add_host()
        running = tmp_path / "running"
        running.mkdir()
        lab.store(
            f"touch {running}/$SSM_COMMAND_ID",
            f"ls {running} | wc -l",
            f"echo >{begun.name}",
            f"read word <{hold.name}",
            f"rm {running}/$SSM_COMMAND_ID",
        )
        command_ids = [lab.send() for _ in range(7)]
        for _ in range(5):
            begun.read(1)
        hold.write(b"\n" * 7)
        commands = [lab.account.wait_until_ended(one) for one in command_ids]
        assert max(int(lines_of(command)[0]) for command in commands) == 5

    def test_command_that_is_cancelled_on_arrival_is_reported_and_never_runs(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        host = lab.add_host()
        step = {"name": "only", "inputs": {"runCommand": f"touch {tmp_path}/ran"}}
        content = {"mainSteps": [{"action": "aws:runShellScript", **step}]}
        order = AgentOrder(
            "id", parse_document(json.dumps(content), name="x", version="1"), {}, 30.0
        )
        report = host.carry_out(order, delivered=lambda: host.cancel("id"))
        assert (report.status.details, report.results) == ("Cancelled", ())
        assert not (tmp_path / "ran").exists()

    def test_eleventh_command_on_a_full_host_times_out(self, lab: Lab, hold: BinaryIO) -> None:
        ended: SimpleQueue[object] = SimpleQueue()

        def note_time_out(event: Event) -> None:
            if "'TimedOut'" in str(event["detail"]):
                ended.put(event)

        lab.account.subscribe(note_time_out)
        lab.add_host()
        lab.store(f"read word <{hold.name}")
        command_ids = [lab.send(TimeoutSeconds=30) for _ in range(11)]
        ended.get(timeout=HANG_SECONDS)
        hold.write(b"\n" * 10)
        ends = [lab.account.wait_until_ended(one).status.details for one in command_ids]
        assert sorted(ends) == ["DeliveryTimedOut", *["Success"] * 10]
