"""Chalice's record goes only with the app that it tells of."""

import json
from pathlib import Path

import pytest

from pulley.operator.uninstall.record import find_record

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:pulley-prod"
HERE = {"account": "123456789012", "region": "eu-west-1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (folder := tmp_path / ".chalice/deployed").mkdir(parents=True)
    (path := folder / "prod.json").write_text(json.dumps({"resources": [{"lambda_arn": ARN}]}))
    return path


def test_record_of_this_account_and_region_is_removed(path: Path, tmp_path: Path) -> None:
    (removal,) = find_record(tmp_path, "prod", **HERE).removals
    removal.remove()
    assert not path.exists()
    removal.remove()  # as after a failure elsewhere
    assert not find_record(tmp_path, "prod", **HERE).removals


@pytest.mark.parametrize("other", [{"account": "210987654321"}, {"region": "us-east-1"}])
def test_record_of_another_account_or_region_stays(
    path: Path, tmp_path: Path, other: dict[str, str]
) -> None:
    assert not find_record(tmp_path, "prod", **{**HERE, **other}).removals
    assert path.exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"resources": []}', '{"resources": 1}', "\0"])
def test_record_that_tells_nothing_is_nothing(path: Path, tmp_path: Path, text: str) -> None:
    path.write_text(text)
    assert not find_record(tmp_path, "prod", **HERE).removals


def test_without_a_clone_there_is_no_record() -> None:
    assert not find_record(None, "prod", **HERE).removals
