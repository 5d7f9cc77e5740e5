"""The policies for people go with their stage, unless somebody has them."""

import json
from collections.abc import Iterator

import pytest

from pulley.operator.uninstall.clients import Clients
from pulley.operator.uninstall.found import Found
from pulley.operator.uninstall.in_iam import find_in_iam
from pulley.sandbox.account import Account
from tests.cli.conftest import invoke, no_settings

__all__ = ["no_settings"]
EVERY = {"pulley-dev-look", "pulley-dev-deploy", "pulley-dev-administer"}


@pytest.fixture
def account(no_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account with the policies of two stages."""
    with Account() as opened:
        for name, value in opened.environ.items():
            monkeypatch.setenv(name, value)
        for stage in ("dev", "dev-2"):
            done = invoke(opened.environ, "setup", "--people", "--yes", "--stage", stage)
            assert done.exit_code == 0, done.output
        yield opened


def find(account: Account, stage: str = "dev") -> Found:
    return find_in_iam(Clients(), account.ec2, stage, region=account.region, elsewhere=())


def names(account: Account) -> set[str]:
    policies = account.client("iam").list_policies(Scope="Local")["Policies"]
    return {one["PolicyName"] for one in policies}


def test_policies_of_the_stage_go_with_all_their_versions_and_no_others(account: Account) -> None:
    before, iam = names(account), account.client("iam")
    arn = f"arn:aws:iam::{account.id}:policy/pulley-dev-look"
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
    found = find(account)
    assert {one.name for one in found.removals} == EVERY
    for one in found.removals:
        one.remove()
        one.remove()  # it is gone already
    assert names(account) == before - EVERY
    assert find(account) == Found()


def test_policy_that_somebody_has_stays_and_the_command_that_detaches_it_is_named(
    account: Account,
) -> None:
    arn, iam = f"arn:aws:iam::{account.id}:policy/pulley-dev-deploy", account.client("iam")
    iam.create_user(UserName="mona")
    iam.attach_user_policy(UserName="mona", PolicyArn=arn)
    found = find(account)
    assert {one.name for one in found.removals} == EVERY - {"pulley-dev-deploy"}
    (left,) = found.left
    assert left.why == "it is attached to the user mona"
    assert f"aws iam detach-user-policy --user-name mona --policy-arn {arn}" in left.how
