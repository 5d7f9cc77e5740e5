"""Which events a webhook has to send, by the gates of the repository's targets."""

import pytest

from chalicelib.core.targets import parse_target
from pulley.operator.stage.webhook_events import events_of
from tests.fakes import target_json

CHECKS = ("check_run", "check_suite", "status")
DEPLOYMENTS = ("deployment", "deployment_status")


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ([], ()),
        ([{}], ()),
        ([{"trigger": "manual"}], ()),
        ([{"after": ["web"]}], ()),
        ([{"checks": ["test"]}], CHECKS),
        ([{"checks": True}, {}], CHECKS),
        ([{"trigger": "deployment"}], DEPLOYMENTS),
        ([{"trigger": "deployment"}, {"trigger": "manual"}], DEPLOYMENTS),
        ([{"trigger": "deployment"}, {"checks": ["test"]}], (*CHECKS, *DEPLOYMENTS)),
    ],
)
def test_webhook_sends_pushes_and_what_opens_the_gates(
    gates: list[dict[str, object]], expected: tuple[str, ...]
) -> None:
    targets = [parse_target("targets.api", target_json("api", **one)) for one in gates]
    assert list(events_of(targets)) == ["push", *sorted(expected)]


def test_webhook_sends_releases_only_if_a_target_takes_them_alone() -> None:
    entry = {key: one for key, one in target_json("api", tag="v*").items() if key != "branch"}
    tags, releases = (parse_target("", {**entry, "releases": one}) for one in (False, True))
    assert list(events_of([tags])) == ["push"]
    assert list(events_of([tags, releases])) == ["push", "release"]
