"""Two operators write at once: the second sees the first one's value and can put it back."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from pulley.cli.stored_changes import put_back_command, say_overwritten
from pulley.operator.aws.parameters import ADVANCED, STANDARD, Parameters, StoredValue, Written
from pulley.sandbox.account import Account

NAME = "/pulley/dev/pins/web"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with Account() as opened:
        yield opened


@pytest.fixture
def parameters(account: Account) -> Parameters:
    return Parameters(account.ssm)


@pytest.fixture
def name(account: Account, request: pytest.FixtureRequest) -> str:
    return f"{NAME}-{request.node.name}"


def overwrite(parameters: Parameters, name: str, *, is_secret: bool = False) -> Written:
    """Write "mine" over "theirs", which was stored after "mine" was read."""
    parameters.write(name, "first", read=None, is_secret=is_secret)
    looked = parameters.read_one(name)
    parameters.write(name, "theirs\n\x1b[2J", read=looked, is_secret=is_secret)
    written = parameters.write(name, "mine", read=looked, is_secret=is_secret)
    assert written.overwritten
    return written


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(text))


def value_of(parameters: Parameters, name: str) -> str:
    stored = parameters.read_one(name)
    assert stored
    return stored.value


class TestSayOverwritten:
    def test_write_that_overwrote_nothing_prints_nothing(
        self, parameters: Parameters, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert not say_overwritten(parameters, Written(NAME, 2))
        assert capsys.readouterr() == ("", "")

    def test_overwritten_value_is_shown_with_its_author_and_version(
        self, parameters: Parameters, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        written = overwrite(parameters, name)
        assert written.overwritten
        by = "arn:aws:iam::123456789012:user/mona"  # moto names no author
        written = replace(written, overwritten=replace(written.overwritten, by=by))
        assert not say_overwritten(parameters, written, yes=True)
        out, err = capsys.readouterr()
        assert out == ""
        assert f"Warning: {name}: version 2 by {by} at 20" in err
        assert "It was: theirs\n?[2J\n" in err
        assert value_of(parameters, name) == "mine"

    def test_secret_is_not_shown(
        self, parameters: Parameters, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        written = overwrite(parameters, name, is_secret=True)
        say_overwritten(parameters, written, yes=True, is_secret=True)
        err = capsys.readouterr().err
        assert "was overwritten" in err
        assert "theirs" not in err
        assert "--type SecureString" in err

    def test_yes_on_a_terminal_restores_the_overwritten_value_as_a_new_version(
        self, parameters: Parameters, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = overwrite(parameters, name)
        type_in(monkeypatch, "y\n")
        assert say_overwritten(parameters, written)
        assert [one.value for one in parameters.versions(name)][:2] == ["theirs\n\x1b[2J", "mine"]

    def test_restored_secret_stays_a_secure_string(
        self,
        account: Account,
        parameters: Parameters,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        written = overwrite(parameters, name, is_secret=True)
        type_in(monkeypatch, "y\n")
        assert say_overwritten(parameters, written, is_secret=True)
        assert account.ssm.get_parameter(Name=name)["Parameter"]["Type"] == "SecureString"

    def test_no_keeps_the_new_value_and_the_yes_option_asks_no_question(
        self, parameters: Parameters, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for typed, yes in (("n\n", False), ("y\n", True)):
            written = overwrite(parameters, f"{name}-{yes}")
            type_in(monkeypatch, typed)
            assert not say_overwritten(parameters, written, yes=yes)
            assert value_of(parameters, written.name) == "mine"

    def test_restore_that_overwrites_a_third_value_shows_it(
        self,
        parameters: Parameters,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        written = overwrite(parameters, name)
        parameters.write(name, "a third one's", read=parameters.read_one(name))
        type_in(monkeypatch, "y\ny\n")
        assert say_overwritten(parameters, written)
        assert "It was: a third one's" in capsys.readouterr().err
        assert value_of(parameters, name) == "a third one's"

    def test_command_to_restore_has_the_kms_key_the_profile_and_the_region(
        self,
        account: Account,
        parameters: Parameters,
        name: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        written = overwrite(parameters, name, is_secret=True)
        account.ssm.put_parameter(
            Name=name, Value="x", Type="SecureString", KeyId="alias/own", Overwrite=True
        )
        command = click.Command(
            "any", params=[click.Option(["--region"]), click.Option(["--profile"])]
        )
        with command.make_context("any", ["--region", "eu-west-1", "--profile", "at work"]):
            say_overwritten(parameters, written, yes=True, is_secret=True)
        err = capsys.readouterr().err
        where = "--profile 'at work' --region eu-west-1"
        assert f"aws ssm put-parameter {where} --name {name} --type SecureString " in err
        assert "--key-id alias/own --overwrite" in err
        assert f'"$(aws ssm get-parameter {where} --name {name}:2' in err

    def test_command_without_key_profile_or_region_is_short(self) -> None:
        line = put_back_command(StoredValue("/n", "x", 1), is_secret=False, tier=STANDARD)
        assert line.startswith("aws ssm put-parameter --name /n --type String --overwrite --value ")


class TestPutBackCommand:
    def test_shell_runs_the_command_unchanged(self, tmp_path: Path) -> None:
        (tmp_path / "aws").write_text('#!/bin/sh\nprintf "%s\\n" "$#" "$@" >>"$LOG"; echo value\n')
        (tmp_path / "aws").chmod(0o755)
        other = StoredValue("/pulley/dev/it's", "secret", 7)
        line = put_back_command(other, is_secret=True, tier=ADVANCED)
        assert "secret" not in line.replace("webhook-secret", "")
        log = tmp_path / "log"
        environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log)}
        subprocess.run(["sh", "-c", line], check=True, env=environ, capture_output=True)
        got, put = log.read_text().split("ssm\nput-parameter\n")
        assert "/pulley/dev/it's:7\n--with-decryption" in got
        assert put.splitlines() == [
            "--name",
            "/pulley/dev/it's",
            "--type",
            "SecureString",
            "--tier",
            "Advanced",
            "--overwrite",
            "--value",
            "value",
        ]
