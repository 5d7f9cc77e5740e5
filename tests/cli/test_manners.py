"""Every command on a narrow terminal, on one that knows only ASCII, and with closed streams.

The commands run as processes, because a stream is a process's own. Many run in one process: a start
takes a second.
"""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pulley.cli import main
from pulley.operator.suggest import ON_A_STAGE
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import NAMES, PULLEYS, stored

PULLEY = str(Path(sys.executable).with_name("pulley"))
REASON = "the shop must not change before the sale, \N{HORIZONTAL ELLIPSIS} says Ren\u00e9 \u0436"
WIDE = 2000
# Without those that print what other programs wrote, as it is: logs, targets show, document.
LINES = (
    "status",
    "status --live",
    "plan",
    "history",
    "doctor",
    "saved web",
    "pin web nosuch --reason x",
    "freeze nosuch --reason x",
    "unpin nosuch",
    "rollback web --yes",
    "deploy web --no-wait",
    "promote web",
    "cancel web",
    "setup --dry-run",
    "targets check pulley.toml",
    "targets apply --dry-run pulley.toml",
    "targets launch-hook web",
    "targets host-policy web",
    f"connect --print-only {FULL_NAME}",
    "secret rotate --dry-run",
    "simulate push.json",
    "open nosuch",
    "uninstall --dry-run",
    "logs web --command-id 00000000",
    "targets show nosuch",
)
RUN = """
import json, sys
from pulley.cli import main
for line in json.loads(sys.argv[1]):
    try:
        main(line.split())
    except SystemExit as ended:
        sys.stderr.flush()
        print(f"@@ {line} @@ {ended.code}", flush=True)
"""
Said = Mapping[str, tuple[str, str]]  # by command line: what it printed, its exit code
DRAWN_AGAIN = re.compile(r"[^\n]*\x1b\[2K")
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# These differ between two runs: ids, times, how long ago something was, and a sign that turns.
CHANGING = re.compile(r"[0-9a-f-]{36}.?|\W?[0-9:-]+\W*|[0-9]+|[-/|\\]")


@pytest.fixture(scope="module")
def environ(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """For a frozen target, in a folder with the files that commands read."""
    folder = tmp_path_factory.mktemp("files")
    instances = '{ tags = { role = "web" } }'
    (folder / "pulley.toml").write_text(
        f'[targets.web]\nrepository = "{FULL_NAME}"\nbranch = "main"\ncheckout = "/srv/site"\n'
        f"instances = {instances}\n"
    )
    push = {"ref": "refs/heads/main", "after": "4" * 40, "repository": {"full_name": FULL_NAME}}
    (folder / "push.json").write_text(json.dumps(push))
    dropped = {"COLUMNS", "GITHUB_TOKEN", "GH_TOKEN", "AWS_PROFILE", *PULLEYS}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    frozen = json.dumps({"state": "frozen", "reason": REASON, "by": "me"})
    with stored(sandbox, NAMES.pin("web"), frozen):
        yield {**kept, **sandbox.environ, "PWD": str(folder), "TERM": "xterm"}


def test_every_command_is_tried() -> None:
    tried = {" ".join(line.split()[:2]) for line in LINES} | {line.split()[0] for line in LINES}
    assert set(ON_A_STAGE) <= tried
    assert set(main.list_commands(None)) - {one.split()[0] for one in ON_A_STAGE} == {  # type: ignore[arg-type]
        *("demo", "sandbox", "document", "completion")
    }


def on_a_terminal(columns: int, lines: Sequence[str], environ: Mapping[str, str]) -> Said:
    """Run the command lines on a terminal; stdin is none, so that they ask nothing."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(lines)],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env=environ,
        cwd=environ["PWD"],
    ) as running:
        os.close(terminal)
        said = b"".join(iter(lambda: _read(controller), b""))
    os.close(controller)
    assert running.returncode == 0, said
    # A line that was drawn again, such as the doctor's progress, counts as it was drawn last.
    text = CODES.sub("", DRAWN_AGAIN.sub("", said.decode())).replace("\r\n", "\n")
    return split("\n".join(line.rpartition("\r")[2] for line in text.split("\n")))


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65536)
    except OSError:  # the process has ended
        return b""


def split(text: str) -> Said:
    parts = re.split(r"@@ (.*) @@ (.*)\n", text)
    return {parts[n + 1]: (parts[n], parts[n + 2]) for n in range(0, len(parts) - 1, 3)}


@pytest.fixture(scope="module")
def unlimited(environ: dict[str, str]) -> Said:
    """What the commands print where every line has room."""
    return on_a_terminal(WIDE, LINES, environ)


class TestNarrowTerminal:
    @pytest.mark.parametrize(("columns", "lines"), [(60, LINES), (40, LINES[:4])])
    def test_no_line_is_too_long_and_no_word_is_cut(
        self, environ: dict[str, str], unlimited: Said, columns: int, lines: Sequence[str]
    ) -> None:
        said = on_a_terminal(columns, lines, environ)
        assert list(said) == list(lines)
        for line, (text, code) in said.items():
            assert (line, code) == (line, unlimited[line][1])
            assert text, line
            for shown in text.split("\n"):
                is_to_copy = re.search(r"\baws [a-z]+ [a-z-]+ ", shown)
                assert len(shown) <= columns or len(shown.split()) == 1 or is_to_copy, shown
            cut = set(text.split()) - set(unlimited[line][0].split())
            assert not {word for word in cut if not CHANGING.fullmatch(word)}, line

    def test_help_breaks_no_word(self, environ: dict[str, str]) -> None:
        lines = [f"{one} --help" for one in (*main.list_commands(None), *ON_A_STAGE)]  # type: ignore[arg-type]
        said, whole = (on_a_terminal(columns, lines, environ) for columns in (60, WIDE))
        for line in lines:
            assert set(said[line][0].split()) <= set(whole[line][0].split()), line
            assert said[line][1] == "0"


class TestAsciiTerminal:
    def test_every_command_prints_ascii_and_ends_with_the_same_code(
        self, environ: dict[str, str], unlimited: Said
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-c", RUN, json.dumps(LINES)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**environ, "PYTHONIOENCODING": "ascii"},
            cwd=environ["PWD"],
            check=True,
        )
        said = split(done.stdout.decode("ascii"))
        assert {line: code for line, (_, code) in said.items()} == {
            line: code for line, (_, code) in unlimited.items()
        }
        assert "before the sale, ... says Rene \\u0436" in said["status"][0]


class TestStreams:
    """A stream that takes nothing. Work is done, and how it ends is the exit code."""

    @pytest.mark.parametrize("line", ["--version", "status", "status nosuch"])
    def test_closed_stdin_or_stderr_changes_no_exit_code(
        self, environ: dict[str, str], line: str
    ) -> None:
        usual = 1 if "nosuch" in line else 0
        for ending in ("2>&-", "<&- 2>&-"):
            done = shell(f"{PULLEY} {line} {ending}", environ)
            assert done.returncode == usual
            assert "Traceback" not in done.stdout + done.stderr
            assert bool(done.stdout) == (usual == 0)

    @pytest.mark.parametrize("line", ["--version", "status", "doctor"])
    @pytest.mark.parametrize(
        ("ending", "why"),
        [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")],
    )
    def test_result_that_cannot_be_written_is_one_line_and_exit_code_1(
        self, environ: dict[str, str], line: str, ending: str, why: str
    ) -> None:
        done = shell(f"{PULLEY} {line} {ending}", environ)
        assert done.returncode == 1
        told = done.stderr.replace("Looking ...\n", "")
        assert told == f"Error: the output cannot be written: {why}\n"

    def test_full_stderr_ends_it_with_1_and_without_a_traceback(
        self, environ: dict[str, str]
    ) -> None:
        done = shell(f"{PULLEY} status nosuch 2>/dev/full", environ)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "")

    @pytest.mark.parametrize("line", ["--help", "status", "document"])
    def test_reader_that_has_seen_enough_hears_no_more(
        self, environ: dict[str, str], line: str
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [PULLEY, *line.split()],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            env=environ,
            text=True,
            check=False,
        )
        os.close(writer)
        assert (done.returncode, done.stderr.replace("Looking ...\n", "")) == (1, "")


def shell(line: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environ,
        text=True,
        check=False,
    )
