"""The Service Authorization Reference: each policy that Pulley has, makes or shows."""

import json
import re
from collections.abc import Iterator

import pytest

from chalicelib.core.targets import parse_target
from pulley.operator.people.policies import Scope, people_policies
from pulley.operator.targets.host_policy import host_policy
from tests.app.policies import PROJECT
from tests.contract.iam import Policy, find_actions, policies_in, problems_of
from tests.fakes import target_json

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/0123456789abcdef"
_SERVICES = (
    "apigateway|autoscaling|cloudformation|cloudwatch|ec2|elasticloadbalancing|events|iam|kms|lambda"
    "|logs|s3|sns|sqs|ssm|sts"
)
# Such as `ssm:SendCommand`; not `ssm:resourceTag/pulley`, nor `sns:Publish.x`.
_ACTION = re.compile(rf"\b((?:{_SERVICES}):[A-Z][A-Za-z]+\*?)(?![\w/.:])")


def own_policies() -> Iterator[Policy]:
    for path in sorted((PROJECT / ".chalice").glob("policy-*.json")):
        yield from policies_in(path.name, json.loads(path.read_text()), {})


def packaged_policies() -> Iterator[Policy]:
    for stage in ("dev", "prod"):
        path = PROJECT / "build" / stage / "sam.json"
        if not path.exists():
            pytest.fail(f"{path} is not there: run `make contract`")
        template = json.loads(path.read_text())
        yield from policies_in(f"{stage}", template, template)


def made_policies() -> Iterator[Policy]:
    drained = target_json(drain={"target_group": GROUP}, restart=["a"], max_concurrency="1")
    yield from policies_in("host-policy", host_policy(parse_target("targets.web", drained)), {})


def policies_for_people() -> Iterator[Policy]:
    targets = [
        parse_target("targets.web", target_json()),
        parse_target("targets.one", target_json("one", instances={"ids": ["i-0123456789abcdef0"]})),
    ]
    for one in people_policies(Scope("prod", "123456789012"), targets):
        yield from policies_in(one.name, one.content, {})


def shown_policies() -> Iterator[Policy]:
    """Those in the documents and the examples: whole objects that have a statement."""
    decoder = json.JSONDecoder()
    for page in sorted((*PROJECT.glob("docs/**/*.md"), *PROJECT.glob("examples/**/*.json"))):
        text = page.read_text()
        for start in re.finditer(r'\{\s*"Version": "2012-10-17"', text):
            shown, _ = decoder.raw_decode(text[start.start() :])
            yield from policies_in(page.name, shown, {})


@pytest.mark.parametrize(
    ("policies", "least"),
    [
        (own_policies, 8),
        (packaged_policies, 16),
        (made_policies, 1),
        (policies_for_people, 5),
        (shown_policies, 3),
    ],
)
def test_each_statement_can_take_effect(policies: object, least: int) -> None:
    assert callable(policies)
    read = list(policies())
    assert len(read) >= least
    problems = [problem for policy in read for problem in problems_of(policy)]
    assert not problems, "\n".join(problems)


def test_each_action_that_is_named_exists() -> None:
    places = (*PROJECT.glob("docs/**/*.md"), *PROJECT.glob("pulley/**/*.py"))
    named = {
        (path.name, action)
        for path in (*places, *PROJECT.glob("chalicelib/**/*.py"))
        for action in _ACTION.findall(path.read_text())
    }
    assert len(named) > 20
    assert {one for one in named if not find_actions(one[1])} == set()
