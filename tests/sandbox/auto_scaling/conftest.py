"""A group in an account of each test, whose hooks time out a hundred times sooner."""

from collections.abc import Iterator

import pytest

from pulley.sandbox.account import Account
from tests.sandbox.auto_scaling.fleet import Fleet


@pytest.fixture
def account() -> Iterator[Account]:
    with Account(hook_second=0.01) as opened:
        yield opened


@pytest.fixture
def fleet(account: Account) -> Fleet:
    made = Fleet(account, account.client("autoscaling"))
    account.subscribe(made.events.append, {})
    account.ec2.create_launch_template(
        LaunchTemplateName="web",
        LaunchTemplateData={"ImageId": "ami-00000000", "InstanceType": "t3.micro"},
    )
    made.make_group()
    return made
