"""What the real `chalice deploy` of two stages made: one stage is uninstalled, the other stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulley.operator.stage.policies import read_policies, write_policy
from pulley.operator.stage.stage import Stage
from pulley.operator.uninstall.uninstall import Uninstall
from tests.deploy.gateway import AccountWithImport
from tests.deploy.project import REGION, STAGES, chalice, copy_project
from tests.deploy.test_chalice_deploy import look

pytestmark = pytest.mark.xdist_group("chalice deploy")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "pulley")


@pytest.fixture
def account(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AccountWithImport]:
    with AccountWithImport(region=REGION) as opened:
        for name, value in opened.environ.items():
            monkeypatch.setenv(name, value)
        for stage in STAGES:
            for policy in read_policies(project / ".chalice", stage, opened.id):
                write_policy(policy)
        yield opened


def test_stage_is_uninstalled_without_chalice_and_can_be_deployed_again(
    account: AccountWithImport, project: Path
) -> None:
    chalice(project, "deploy", "--stage", "dev", environ=account.environ)
    alone = look(account)
    chalice(project, "deploy", "--stage", "prod", environ=account.environ)
    both = look(account)
    record = project / ".chalice/deployed/prod.json"

    # Without its record, Chalice finds functions, roles and rules by their names, but not the API.
    record.unlink()
    chalice(project, "deploy", "--stage", "prod", environ=account.environ)
    twice = look(account)
    assert len(twice["apis"]) == len(both["apis"]) + 1
    assert all(set(twice[kind]) == set(both[kind]) for kind in ("functions", "roles", "rules"))

    work = Uninstall(Stage("prod", region=REGION), url="", project=project)
    for one in work.look().found.removals:
        one.remove()
    assert look(account) == alone
    assert not work.look().found.removals
    assert not record.exists()
    assert record.with_name("dev.json").exists()

    chalice(project, "deploy", "--stage", "prod", environ=account.environ)
    again = look(account)
    assert all(set(again[kind]) == set(both[kind]) for kind in ("functions", "roles", "rules"))
    assert (len(again["apis"]), record.exists()) == (len(both["apis"]), True)
