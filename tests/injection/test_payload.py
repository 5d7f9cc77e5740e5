"""Strings that a contributor chooses arrive in payloads that GitHub signs."""

import re
import urllib.parse
from dataclasses import replace
from itertools import product

import pytest

from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.injection.hostile import (
    CANARY,
    HOSTILE,
    TOUCH,
    WORD,
    some_of,
    string_at,
    strings_of,
    with_every_string,
    with_string,
)
from tests.injection.house import (
    PAYLOAD,
    count_commands,
    good_payload,
    post,
    run_every_tenth,
)

AT_ONCE = 100  # commands that wait for a host; each has a thread
DECIDING = ("ref",), ("after",), ("repository", "full_name")
UNREAD = ("User-Agent", "X-GitHub-Hook-ID", "X-Hub-Signature", "X-Forwarded-For")
OTHERS = [path for path in strings_of(PAYLOAD) if path not in DECIDING]


def test_running_a_hostile_command_makes_the_canary(sandbox: Sandbox) -> None:
    """Without this no test in this folder could fail."""
    for machine in sandbox.machines:
        for program in (TOUCH, f"{machine.host.root}/bin/{WORD}"):
            machine.git("-c", f"alias.run=!{program}", "run")
            assert CANARY.exists()
            CANARY.unlink()


@pytest.mark.usefixtures("unreported")
class TestPayload:
    """Hostile strings change no command, or Pulley sends none."""

    def check_same(self, command: EmulatedCommand, clean: EmulatedCommand) -> None:
        """Check that the commands differ only in the time and the pusher's name."""
        by = r"push at 2026-11-21T10:00:00Z( by mona)?: octo/site [0-9a-f]{7} to web"
        assert re.fullmatch(by, command.request.comment), command.request.comment
        (issued,) = command.request.parameters["Issued"]
        assert re.fullmatch("[0-9]{13}", issued)
        (pusher,) = command.request.parameters["By"]
        assert pusher in {"", "mona"}
        parameters = {**clean.request.parameters, "Issued": (issued,), "By": (pusher,)}
        expected = replace(clean.request, parameters=parameters, comment=command.request.comment)
        assert command.request == expected

    def test_hostile_strings_outside_ref_commit_and_repository_change_no_command(
        self, sandbox: Sandbox, clean: EmulatedCommand
    ) -> None:
        good = good_payload(sandbox)
        with run_every_tenth(sandbox) as sent:
            for number, hostile in enumerate(HOSTILE.values()):
                payload = with_every_string(good, hostile)
                for path in DECIDING:
                    payload = with_string(payload, path, string_at(good, path))
                answer = post(
                    sandbox,
                    payload,
                    form=number % 2 == 1,
                    query=f"?x={urllib.parse.quote(hostile)}",
                    headers=dict.fromkeys(UNREAD, hostile),
                )
                assert answer.status == 202, (hostile, answer)
        assert len(sent) == len(HOSTILE)
        for command in sent:
            self.check_same(command, clean)

    def test_one_hostile_string_outside_ref_commit_and_repository_changes_no_command(
        self, sandbox: Sandbox, clean: EmulatedCommand
    ) -> None:
        good = good_payload(sandbox)
        chosen = some_of(product(OTHERS, HOSTILE.values()))
        for start in range(0, len(chosen), AT_ONCE):
            batch = chosen[start : start + AT_ONCE]
            with run_every_tenth(sandbox) as sent:
                for path, hostile in batch:
                    answer = post(sandbox, with_string(good, path, hostile))
                    assert answer.status == 202, (path, hostile, answer)
            assert len(sent) == len(batch)
            for command in sent:
                self.check_same(command, clean)

    def test_payload_with_a_hostile_ref_commit_or_repository_sends_no_command(
        self, sandbox: Sandbox
    ) -> None:
        good, before = good_payload(sandbox), count_commands(sandbox)
        commit, name = good["after"], FULL_NAME
        ways = {
            ("ref",): ["{}", "refs/heads/{}", "refs/heads/main{}", "refs/{}"],
            ("after",): ["{}", f"{commit}{{}}", f"{{}}{commit}", f"{commit[:-1]}{{}}"],
            ("repository", "full_name"): ["{}", f"{name}{{}}", "{}/site", "octo/{}"],
        }
        for hostile in HOSTILE.values():
            for path, texts in ways.items():
                for text in texts:
                    value = text.replace("{}", hostile)
                    answer = post(sandbox, with_string(good, path, value))
                    assert answer.status in {200, 400}, (path, value, answer)
            assert post(sandbox, with_every_string(good, hostile)).status == 400
        assert count_commands(sandbox) == before

    def test_hostile_value_of_a_header_that_is_read_is_refused(self, sandbox: Sandbox) -> None:
        good, before = good_payload(sandbox), count_commands(sandbox)
        refused = {
            "X-GitHub-Delivery": 400,
            "X-GitHub-Event": 400,
            "Content-Type": 415,
            "X-Hub-Signature-256": 401,
        }
        for (name, status), hostile in product(refused.items(), HOSTILE.values()):
            assert post(sandbox, good, headers={name: f"x{hostile}"}).status == status, (
                name,
                hostile,
            )
        assert count_commands(sandbox) == before
