"""Check that the policies for people are those of this release, if the account has them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pulley.operator.doctor.row import WARN, Row, passed
from pulley.operator.people.managed import ManagedPolicies, is_same
from pulley.operator.people.policies import Scope, people_policies
from pulley.operator.suggest import suggest

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


def check_people(client: "IAMClient", scope: Scope) -> Iterator[Row]:
    """One row, unless there are none. A policy for a single target is not looked at."""
    what, policies = "policies for people", ManagedPolicies(client)
    wanted = people_policies(scope)
    found = {one.arn: policies.read(one.arn) for one in wanted}
    there = [one for one in wanted if found[one.arn] is not None]
    if not there:
        return
    other = [one.name for one in wanted if not is_same(found[one.arn], one.content)]
    if other:
        words = f"not as this release makes them: {', '.join(other)}"
        yield Row(what, WARN, words, str(suggest("setup", "--people")))
        return
    yield passed(what, ", ".join(one.name for one in wanted))
