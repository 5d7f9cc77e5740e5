"""The generator of traffic notes what a client sees."""

import pytest

from pulley.sandbox.load_balancing.traffic import Answer, Seen, traffic
from tests.processes import HANG_SECONDS
from tests.sandbox.load_balancing.farm import Farm

RATE = 200


def test_healthy_group_answers_all(farm: Farm) -> None:
    ids = farm.bring_up()
    with traffic(farm.balancer.url, RATE) as seen:
        seen.wait_for_more(40, timeout=HANG_SECONDS)
    assert seen.total >= 40
    assert (seen.failed, seen.share_failed, seen.failures) == (0, 0, [])
    assert {one.instance_id for one in seen.answers} == {*ids}
    assert {one.status for one in seen.answers} == {200}
    assert all(one.at >= 0 and one.seconds > 0 for one in seen.answers)


def test_errors_of_the_balancer_are_failures(farm: Farm) -> None:
    with traffic(farm.balancer.url, RATE) as seen:
        seen.wait_for_more(5, timeout=HANG_SECONDS)
    assert {(one.status, one.instance_id) for one in seen.answers} == {(503, "")}
    assert seen.share_failed == 1


def test_connections_that_fail_are_noted_with_their_error(farm: Farm) -> None:
    farm.balancer.close()
    with traffic(farm.balancer.url, RATE) as seen:
        seen.wait_for_more(5, timeout=HANG_SECONDS)
    assert {one.status for one in seen.answers} == {0}
    assert all("ConnectionRefusedError" in one.error for one in seen.answers)


def test_nothing_seen_is_no_failure() -> None:
    seen = Seen()
    assert (seen.total, seen.failed, seen.share_failed) == (0, 0, 0)
    with pytest.raises(TimeoutError, match="1 of 1"):
        seen.wait_for_more(1, timeout=0.01)


@pytest.mark.parametrize(
    "answer", [Answer(0, 0, status=404), Answer(0, 0, status=502), Answer(0, 0, error="refused")]
)
def test_error_is_a_failure(answer: Answer) -> None:
    assert answer.is_failed


@pytest.mark.parametrize("status", [200, 204, 302])
def test_page_and_redirect_are_none(status: int) -> None:
    assert not Answer(0, 0, status=status).is_failed
