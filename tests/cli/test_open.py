"""`pulley open`: the page on loopback, and the link to the hosted one."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulley.sandbox.sandbox import Sandbox
from tests.cli.conftest import NAMES, Pulley, json_of, stored


@contextmanager
def served(sandbox: Sandbox, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address that the command prints, and its process."""
    command = Path(sys.executable).with_name("pulley")
    line = [str(command), "open", "--no-browser", *arguments]
    environ = {**os.environ, **sandbox.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(line, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class TestOpen:
    def test_page_shows_what_status_prints_and_only_at_its_own_address(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with served(sandbox, "web") as (url, process):
            place, _, part = url.partition("#")
            assert part == "web"
            assert get(place)[1].startswith(b"<!doctype html>")
            state = json.loads(get(f"{place}state.json")[1])
            told = json_of(pulley("status", "--json"))
            for one in (state, told):
                del one["at"]
                assert one["targets"][0].pop("next") is not None
            assert state == told
            past = json.loads(get(f"{place}history.json?target=web")[1])
            assert {one["target"] for one in past["entries"]} <= {"web"}
            assert get(f"{place}history.json?target=x")[0] == 404
            root = place.rpartition("/")[0].rpartition("/")[0]
            for wrong in ("/", "/state.json", f"{place.rpartition('/')[0]}x/"):
                assert get(f"{root}{wrong}" if wrong.startswith("/") else wrong)[0] == 404
            port = int(root.rpartition(":")[2])
            for line in (b"GET http://[ HTTP/1.0", b"GET /x?[ HTTP/1.0", b"HEAD / HTTP/1.0"):
                with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                    connection.sendall(line + b"\r\n\r\n")
                    answer = connection.makefile("rb").read()
                assert answer.split()[1] in {b"404", b"501"}
                assert (b"Server: Pulley" in answer, b"ython" in answer) == (True, False)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0

    def test_taken_port_and_unknown_target_are_errors(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with served(sandbox) as (url, _):
            port = url.split(":")[2].partition("/")[0]
            done = pulley("open", "--no-browser", "--port", port)
        assert (done.exit_code, f"port {port} cannot be used" in done.stderr) == (1, True)
        done = pulley("open", "--no-browser", "wep")
        assert (done.exit_code, "did you mean web?" in done.stderr) == (1, True)


class TestHosted:
    def test_stage_without_a_key_says_how_to_make_one(self, pulley: Pulley) -> None:
        done = pulley("open", "--hosted", "--no-browser")
        assert done.exit_code == 1
        assert "pulley open --hosted --new-key makes one" in done.stderr

    def test_new_key_asks_first_and_its_link_opens_the_page(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with (
            stored(sandbox, NAMES.page_key, "a key that is there", secret=True),
            stored(sandbox, NAMES.page_url, "https://old.example.com/"),
        ):
            done = pulley("open", "--hosted", "--new-key", "--no-browser")
            assert done.exit_code == 4
            done = pulley("open", "web", "--hosted", "--new-key", "--yes", "--no-browser")
            assert done.exit_code == 0
            status, body = get(done.stdout.strip())
            assert (status, b"url=./#web" in body) == (200, True)
            assert get(done.stdout.strip())[0] == 404
            url = sandbox.account.ssm.get_parameter(Name=NAMES.page_url)["Parameter"]["Value"]
            assert url == sandbox.webhook.url.removesuffix("github")
            key = sandbox.account.ssm.get_parameter(Name=NAMES.page_key, WithDecryption=True)
            assert key["Parameter"]["Value"] not in done.stdout + done.stderr
            assert key["Parameter"]["Value"] != "a key that is there"
            notes = sandbox.account.ssm.get_parameters_by_path(Path=NAMES.used_links)
            names = [one["Name"] for one in notes["Parameters"]]
            sandbox.account.ssm.delete_parameters(Names=names)

    def test_stage_whose_address_is_unknown_says_so(self, pulley: Pulley) -> None:
        for address in ("", "https://example.com/elsewhere", "http://example.com/github"):
            done = pulley(
                "open", "--hosted", "--no-browser", environ={"PULLEY_WEBHOOK_URL": address}
            )
            assert done.exit_code == 1
            assert "the address of stage dev is not known here" in done.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_wrong_port_exits_with_2(pulley: Pulley, port: str) -> None:
    assert pulley("open", "--port", port).exit_code == 2
