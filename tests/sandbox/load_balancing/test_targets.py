"""How checks change a target's state."""

import pytest

from pulley.sandbox.load_balancing.target_groups import Settings
from pulley.sandbox.load_balancing.targets import IS_HEALTHY, UNHEALTHY, Health, Target

FAILED = Health(UNHEALTHY, "Target.FailedHealthChecks", "Health checks failed")


def judge(checks: str) -> Target:
    """A target after these checks: `+` passes, `-` fails. Three in a row change its state."""
    target = Target("i-0123456789abcdef0", 80)
    for check in checks:
        target.note_check(None if check == "+" else FAILED, healthy_after=3, unhealthy_after=3)
    return target


@pytest.mark.parametrize(
    ("checks", "state", "reason"),
    [
        ("", "initial", "Elb.RegistrationInProgress"),
        ("-", "initial", "Elb.InitialHealthChecking"),
        ("--+", "healthy", ""),  # a new target needs one check that passes
        ("---", "unhealthy", "Target.FailedHealthChecks"),
        ("+--", "healthy", ""),
        ("+--+--", "healthy", ""),  # not in a row
        ("+---", "unhealthy", "Target.FailedHealthChecks"),
        ("---++", "unhealthy", "Target.FailedHealthChecks"),
        ("---+++", "healthy", ""),
        ("---+++--", "healthy", ""),
    ],
)
def test_checks_change_the_state(checks: str, state: str, reason: str) -> None:
    health = judge(checks).health
    assert (health.state, health.reason) == (state, reason)


def test_target_that_is_registered_again_needs_one_check() -> None:
    target = judge("---")
    target.drained_at = 1.0
    target.register_again()
    assert (target.is_draining, target.health.state) == (False, "initial")
    target.note_check(None, healthy_after=3, unhealthy_after=3)
    assert target.health == IS_HEALTHY


@pytest.mark.parametrize(
    ("codes", "accepted", "refused"),
    [("200", 200, 201), ("200,302", 302, 301), ("200-299", 299, 300), ("200,300-399", 301, 250)],
)
def test_codes_are_numbers_and_ranges(codes: str, accepted: int, refused: int) -> None:
    settings = Settings(80, "traffic-port", "/", codes, 30, 5, 5, 2, 300)
    assert settings.accepts(accepted)
    assert not settings.accepts(refused)


@pytest.mark.parametrize(("check_port", "port"), [("traffic-port", 8080), ("81", 81)])
def test_checks_go_to_the_target_s_port_or_to_another(check_port: str, port: int) -> None:
    settings = Settings(80, check_port, "/", "200", 30, 5, 5, 2, 300)
    assert settings.check_port_of(8080) == port
