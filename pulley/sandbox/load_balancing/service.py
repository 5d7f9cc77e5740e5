"""Elastic Load Balancing in front of moto: targets are checked, drained and forwarded to.

moto keeps groups, load balancers and listeners. Which targets a group has, and how they are, is
known here alone. A thread follows each target from its registration to the end of its draining.

Source: Elastic Load Balancing API Reference, "RegisterTargets", "DeregisterTargets" and
"DescribeTargetHealth"; User Guide for Application Load Balancers, "Edit target group attributes for
your Application Load Balancer" (the deregistration delay).
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from pulley.sandbox.load_balancing.balancer import Balancer, Route
from pulley.sandbox.load_balancing.health import check_health
from pulley.sandbox.load_balancing.target_groups import Settings, TargetGroups
from pulley.sandbox.load_balancing.targets import (
    DRAINING,
    HEALTHY,
    INITIAL,
    IS_DRAINING,
    IS_NOT_IN_USE,
    IS_NOT_REGISTERED,
    UNHEALTHY,
    UNUSED,
    Health,
    Target,
    in_state,
)
from pulley.sandbox.query import THROTTLED, Call, Query
from pulley.sandbox.run_command.send_request import ApiError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/CommonErrors.html
DENIED = ApiError(
    "AccessDenied",
    "User: arn:aws:sts::123456789012:assumed-role/web/i-0123456789abcdef0 is not authorized to "
    "perform this action because no identity-based policy allows it",
    status=403,
)

_Key = tuple[str, int]  # a target's instance and port


class LoadBalancing:
    """An account's target groups and balancers.

    `fault` may refuse an action; `calls` has every request so far.
    """

    def __init__(self, *, account: str, region: str, second: float = 1.0) -> None:
        """`account` is an id.

        `second` is how long a second of a health check's interval and of a deregistration delay
        takes here. The time-out of a check is not shortened.
        """
        self.fault: Callable[[str], ApiError | None] = lambda _action: None
        self.calls: list[Call] = []
        self._groups = TargetGroups(account=account, region=region)
        self._second = second
        self._changed = threading.Condition(threading.RLock())
        self._targets: dict[str, dict[_Key, Target]] = {}
        self._turns: dict[str, int] = {}  # so many requests were forwarded, by group
        self._addresses: dict[str, str] = {}
        self._balancers: list[Balancer] = []
        self._followers: list[threading.Thread] = []
        self._closed = False

    def answer(
        self,
        query: Query,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        moto: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a request of the WSGI server, by moto if it is not about targets."""

        def answer() -> Response | Iterable[bytes]:
            self.calls.append(Call(query.action, query.fields))
            refused = self.fault(query.action)
            if refused:
                raise refused
            operation = self._operations().get(query.action)
            if operation is None:
                return moto(environ, start_response)
            asked = query.parameters()
            with self._changed:
                self._groups.check(asked["TargetGroupArn"])
                return query.answer(operation(asked["TargetGroupArn"], asked.get("Targets", ())))

        return query.respond(answer, environ, start_response)

    def place(self, instance_id: str, address: str) -> None:
        """Say at which address an instance's ports are. Without one, no connection is made."""
        with self._changed:
            self._addresses[instance_id] = address

    def displace(self, instance_id: str) -> None:
        """Let an instance have no address any more."""
        with self._changed:
            self._addresses.pop(instance_id, None)

    def open_balancer(self, arn: str) -> Balancer:
        """Forward requests to a target group, from now on until the end."""
        balancer = Balancer(arn, _Group(self, arn))
        self._balancers.append(balancer)
        return balancer

    def register(self, arn: str, instance_id: str) -> None:
        """Register an instance at the group's own port, as Auto Scaling does. Raises ApiError."""
        with self._changed:
            self._groups.check(arn)
            self._register(arn, [{"Id": instance_id}])

    def deregister(self, arn: str, instance_id: str) -> None:
        """Deregister an instance at the group's own port. Raises ApiError."""
        with self._changed:
            self._groups.check(arn)
            self._deregister(arn, [{"Id": instance_id}])

    def states(self, arn: str) -> dict[str, str]:
        """The state of each target, by instance id."""
        with self._changed:
            return {one.instance_id: health.state for one, health in self._healths(arn)}

    def wait_for(self, arn: str, instance_id: str, state: str, *, timeout: float = 600) -> None:
        """Return when an instance has a state, such as healthy. Raises TimeoutError."""

        def seen() -> str:
            return self.states(arn).get(instance_id, UNUSED)

        with self._changed:
            if not self._changed.wait_for(lambda: seen() == state, timeout):
                raise TimeoutError(f"{instance_id} is still {seen()}")

    def wait_until_under_way(self, instance_id: str, *, timeout: float = 600) -> None:
        """Return when an instance is answering a forwarded request. Raises TimeoutError."""

        def is_busy() -> bool:
            targets = [one for arn in self._targets for one in self._of(arn)]
            return any(one.connections for one in targets if one.instance_id == instance_id)

        with self._changed:
            if not self._changed.wait_for(is_busy, timeout):
                raise TimeoutError(f"{instance_id} gets no request")

    def close(self) -> None:
        """Forward and check no more."""
        for balancer in self._balancers:
            balancer.close()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for follower in self._followers:
            follower.join()

    @contextmanager
    def forward(self, arn: str) -> Iterator[Route | None]:
        """The target of one request, which is under way within the block; None without a target."""
        with self._changed:
            target = self._choose(arn)
            address = self._addresses.get(target.instance_id) if target else None
        if target is None:
            yield None
            return
        made: list[Any] = []

        def connect(connection: HTTPConnection) -> None:
            connection.connect()
            with self._changed:
                made.append(connection.sock)
                target.connections.add(connection.sock)
                self._changed.notify_all()
                is_over = target not in self._of(arn)
            if is_over:  # the delay ended before the connection was there
                raise ConnectionAbortedError

        try:
            yield Route(target, address, connect)
        finally:
            with self._changed:
                target.connections.difference_update(made)

    def _operations(self) -> Mapping[str, Callable[[str, Sequence[Mapping[str, Any]]], object]]:
        return {
            "RegisterTargets": self._register,
            "DeregisterTargets": self._deregister,
            "DescribeTargetHealth": self._describe,
        }

    def _register(self, arn: str, asked: Sequence[Mapping[str, Any]]) -> object:
        states = self._groups.instance_states()
        idle = [one["Id"] for one in asked if states.get(one["Id"]) != "running"]
        if idle:
            named = ", ".join(f"'{one}'" for one in idle)
            raise ApiError(
                "InvalidTarget",
                "The following targets are not in a running state and cannot be registered: "
                + named,
            )
        targets = self._targets.setdefault(arn, {})
        for key in self._keys(arn, asked):
            target = targets.get(key)
            if target is None:
                targets[key] = Target(*key)
                self._follow(arn, targets[key])
            elif target.is_draining:
                target.register_again()
        self._changed.notify_all()
        return {}

    def _deregister(self, arn: str, asked: Sequence[Mapping[str, Any]]) -> object:
        """Let targets drain. One that is not registered is no error, as AWS says."""
        for key in self._keys(arn, asked):
            target = self._targets.get(arn, {}).get(key)
            if target and not target.is_draining:
                self._drain(arn, target)
        return {}

    def _describe(self, arn: str, asked: Sequence[Mapping[str, Any]]) -> object:
        known = {(one.instance_id, one.port): health for one, health in self._healths(arn)}
        settings = self._groups.settings(arn)
        described: list[dict[str, object]] = []
        for key in self._keys(arn, asked) if asked else known:
            health = known.get(key, IS_NOT_REGISTERED)
            shown = {"Target": {"Id": key[0], "Port": key[1]}, "TargetHealth": health.described()}
            if key in known:
                shown["HealthCheckPort"] = str(settings.check_port_of(key[1]))
            described.append(shown)
        return {"TargetHealthDescriptions": described}

    def _keys(self, arn: str, asked: Iterable[Mapping[str, Any]]) -> list[_Key]:
        port = self._groups.settings(arn).port
        return [(one["Id"], one.get("Port", port)) for one in asked]

    def _of(self, arn: str) -> list[Target]:
        return [*self._targets.get(arn, {}).values()]

    def _healths(self, arn: str) -> list[tuple[Target, Health]]:
        """The group's targets and how they are, in the order of their registration."""
        states, is_used = self._groups.instance_states(), self._groups.is_used(arn)

        def health_of(target: Target) -> Health:
            if target.is_draining:
                return IS_DRAINING
            state = states.get(target.instance_id, "terminated")
            if state != "running":
                return in_state(state)
            return target.health if is_used else IS_NOT_IN_USE

        return [(one, health_of(one)) for one in self._of(arn)]

    def _choose(self, arn: str) -> Target | None:
        """The next target in turn. If none is healthy, requests go to all, as AWS's do."""
        by_state: dict[str, list[Target]] = {}
        for one, health in self._healths(arn):
            by_state.setdefault(health.state, []).append(one)
        chosen_from = by_state.get(HEALTHY) or [
            *by_state.get(INITIAL, ()),
            *by_state.get(UNHEALTHY, ()),
        ]
        if not chosen_from:
            return None
        turn = self._turns[arn] = self._turns.get(arn, -1) + 1
        return chosen_from[turn % len(chosen_from)]

    def _drain(self, arn: str, target: Target) -> None:
        """Begin the draining. In a group that nobody uses there is nothing to drain."""
        seconds = self._groups.settings(arn).deregistration_delay * self._second
        if not self._groups.is_used(arn):
            seconds = 0
        target.drained_at = time.monotonic() + seconds
        if not seconds:
            self._end(arn, target)
        self._changed.notify_all()

    def _end(self, arn: str, target: Target) -> None:
        """A draining is over."""
        del self._targets[arn][target.instance_id, target.port]
        target.cut()
        self._changed.notify_all()

    def _follow(self, arn: str, target: Target) -> None:
        follower = threading.Thread(target=self._watch, args=(arn, target), daemon=True)
        self._followers.append(follower)
        follower.start()

    def _watch(self, arn: str, target: Target) -> None:
        """Check a target again and again; end its draining in time."""
        while True:
            with self._changed:
                if self._closed or target not in self._of(arn):
                    return
                if not self._groups.exists(arn):  # it was deleted, with its targets
                    self._end(arn, target)
                    return
                if target.drained_at is not None:
                    left = target.drained_at - time.monotonic()
                    if left <= 0:
                        self._end(arn, target)
                        return
                    self._changed.wait(left)
                    continue
                settings = self._groups.settings(arn)
                if self._groups.is_gone(target.instance_id):
                    self._drain(arn, target)
                    continue
                is_used = self._groups.is_used(arn)
                address = self._addresses.get(target.instance_id)
            if is_used:
                failure = check_health(address, target.port, settings)
                self._note(target, failure, settings)
            self._pause(target, settings.interval * self._second)

    def _note(self, target: Target, failure: Health | None, settings: Settings) -> None:
        with self._changed:
            if not target.is_draining:
                target.note_check(
                    failure,
                    healthy_after=settings.healthy_after,
                    unhealthy_after=settings.unhealthy_after,
                )
                self._changed.notify_all()

    def _pause(self, target: Target, seconds: float) -> None:
        """Wait until the next check, or until the target drains."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or target.is_draining, seconds)


class _Group:
    """One target group, for its balancer."""

    def __init__(self, balancing: LoadBalancing, arn: str) -> None:
        self._balancing, self._arn = balancing, arn

    @contextmanager
    def forward(self) -> Iterator[Route | None]:
        with self._balancing.forward(self._arn) as route:
            yield route

    def states(self) -> dict[str, str]:
        return self._balancing.states(self._arn)

    def wait_for(self, instance_id: str, state: str, *, timeout: float) -> None:
        self._balancing.wait_for(self._arn, instance_id, state, timeout=timeout)


__all__ = ["DENIED", "DRAINING", "HEALTHY", "THROTTLED", "UNUSED", "LoadBalancing"]
