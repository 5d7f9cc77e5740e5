"""A group with two sites for each test; its seconds are a hundredth of a second here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulley.sandbox.account import Account
from tests.sandbox.load_balancing.farm import Farm


@pytest.fixture
def account() -> Iterator[Account]:
    with Account(balancing_second=0.01) as opened:
        yield opened


@pytest.fixture
def farm(account: Account, tmp_path: Path) -> Iterator[Farm]:
    made = Farm(account, account.client("elbv2"), tmp_path)
    made.open("web-1", "web-2")
    yield made
    for site in made.sites.values():
        site.close()
