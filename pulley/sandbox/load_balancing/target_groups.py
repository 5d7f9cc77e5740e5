"""moto's target groups: their settings, who uses them, and which of their instances run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pulley.sandbox.moto_state import MotoState
from pulley.sandbox.query import invalid
from pulley.sandbox.run_command.send_request import ApiError

_TRAFFIC_PORT = "traffic-port"
_DELAY = "deregistration_delay.timeout_seconds"
_GONE = frozenset({"shutting-down", "terminated"})


@dataclass(frozen=True)
class Settings:
    """What a group says of its targets. All times are in seconds."""

    port: int
    check_port: str  # a number, or that of the target
    path: str
    codes: str  # such as 200,300-399
    interval: int
    timeout: int
    healthy_after: int
    unhealthy_after: int
    deregistration_delay: int

    def check_port_of(self, port: int) -> int:
        """The port at which a target's health is checked."""
        return port if self.check_port == _TRAFFIC_PORT else int(self.check_port)

    def accepts(self, code: int) -> bool:
        """Whether a target that answers a check with this code passes it."""
        for part in self.codes.split(","):
            first, _, last = part.partition("-")
            if int(first) <= code <= int(last or first):
                return True
        return False


class TargetGroups(MotoState):
    """The groups of one account in one Region, by ARN."""

    def __init__(self, *, account: str, region: str) -> None:
        """`account` is an id."""
        super().__init__(account=account, region=region)
        self._arn = re.compile(
            rf"arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/[^/]+/[0-9a-f]+"
        )

    def check(self, arn: str) -> None:
        """Raise ApiError if there is no such group."""
        if not self._arn.fullmatch(arn):
            raise invalid(f"'{arn}' is not a valid target group ARN")
        if not self.exists(arn):
            raise ApiError("TargetGroupNotFound", "One or more target groups not found")

    def exists(self, arn: str) -> bool:
        """Whether there is such a group."""
        return arn in self._load_balancing.target_groups

    def settings(self, arn: str) -> Settings:
        """The settings of a group, as they are now."""
        group = self._load_balancing.target_groups[arn]
        return Settings(
            port=int(group.port),
            check_port=str(group.health_check_port or _TRAFFIC_PORT),
            path=group.health_check_path or "/",
            codes=str(group.matcher["HttpCode"]),
            interval=int(group.health_check_interval_seconds),
            timeout=int(group.health_check_timeout_seconds),
            healthy_after=int(group.healthy_threshold_count),
            unhealthy_after=int(group.unhealthy_threshold_count),
            deregistration_delay=int(group.attributes[_DELAY]),
        )

    def is_used(self, arn: str) -> bool:
        """Whether a listener of a load balancer forwards to the group."""
        return bool(self._load_balancing._any_listener_using(arn))  # noqa: SLF001 - moto asks nobody else

    def instance_states(self) -> Mapping[str, str]:
        """EC2's state of each instance, by id."""
        return {
            one.id: str(one.state)
            for reservation in [*self._ec2.reservations.values()]
            for one in reservation.instances
        }

    def is_gone(self, instance_id: str) -> bool:
        """Whether EC2 has terminated an instance, or never had it."""
        return self.instance_states().get(instance_id, "terminated") in _GONE
