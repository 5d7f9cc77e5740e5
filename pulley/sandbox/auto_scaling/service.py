"""Auto Scaling in front of moto: instances wait for their group's hooks when they are launched.

Every request to EC2 or Auto Scaling that changes something is answered under one lock, so that
nobody sees an instance between its launch and its wait. Then the instances are compared with those
before, so it does not matter which operation started, stopped or replaced them.

Source: Amazon EC2 Auto Scaling User Guide, "How lifecycle hooks work"; API Reference,
"CompleteLifecycleAction" and "RecordLifecycleActionHeartbeat".
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.wrappers import Response

from pulley.sandbox.auto_scaling.actions import (
    INTO_GROUP,
    INTO_POOL,
    OUT_OF_POOL,
    Actions,
    LifecycleAction,
    Way,
)
from pulley.sandbox.auto_scaling.events import LaunchEvents
from pulley.sandbox.auto_scaling.groups import IN_SERVICE, Groups
from pulley.sandbox.auto_scaling.hooks import ABANDON, CONTINUE, Hooks, check_result
from pulley.sandbox.auto_scaling.warm_pools import WarmPools, is_warm
from pulley.sandbox.event_bus import EventBus
from pulley.sandbox.query import AUTO_SCALING, THROTTLED, Call, Query
from pulley.sandbox.run_command.send_request import ApiError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WAITING = "Pending:Wait"
_WARM_WAITING = "Warmed:Pending:Wait"
_LOG = logging.getLogger(__name__)

Parameters = Mapping[str, Any]


class Registrar(Protocol):
    """Whoever registers instances with target groups. Both raise ApiError."""

    def register(self, arn: str, instance_id: str) -> None:
        """Register an instance with a target group."""
        ...

    def deregister(self, arn: str, instance_id: str) -> None:
        """Deregister an instance."""
        ...


class AutoScaling:
    """The groups of an account. `fault` may refuse an action; `calls` has every request so far."""

    def __init__(self, bus: EventBus, registrar: Registrar, *, hook_second: float = 1.0) -> None:
        """`hook_second` is how long a second of a hook's time-out takes here."""
        self.fault: Callable[[str], ApiError | None] = lambda _action: None
        self.calls: list[Call] = []
        self._groups = Groups(account=bus.account, region=bus.region)
        self._pools = WarmPools(account=bus.account, region=bus.region)
        self._events = LaunchEvents(bus)
        self._hooks = Hooks()
        self._actions = Actions(second=hook_second)
        self._changed = threading.Condition(threading.RLock())
        self._states: dict[str, str] = {}  # EC2's, of all instances
        self._members: dict[str, str] = {}
        self._registrar = registrar
        self._attached: set[tuple[str, str]] = set()  # a target group's ARN, an instance's id
        self._closed = False
        self._timer = threading.Thread(target=self._watch_the_clock, daemon=True)
        self._timer.start()

    def answer(
        self,
        query: Query,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        moto: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a request of the WSGI server, by moto if it can."""

        def forward() -> Iterable[bytes]:
            return moto(environ, start_response)

        return query.respond(lambda: self._answer(query, forward), environ, start_response)

    def _answer(
        self, query: Query, forward: Callable[[], Iterable[bytes]]
    ) -> Response | Iterable[bytes]:
        if query.service != AUTO_SCALING:
            return forward() if query.only_reads else self._forward(forward)
        self.calls.append(Call(query.action, query.fields))
        refused = self.fault(query.action)
        if refused:
            raise refused
        operation = self._operations().get(query.action)
        if operation:
            with self._changed:
                return query.answer(operation(query.parameters()))
        return self._read(query, forward) if query.only_reads else self._change(query, forward)

    def state_of(self, instance_id: str) -> str:
        """The lifecycle state of an instance, such as Pending:Wait; "" if it is in no group."""
        with self._changed:
            waiting = self._shown().get(instance_id)
            return waiting or self._groups.state_of(instance_id)

    def members_of(self, group: str) -> list[str]:
        """The ids of a group's instances, without those of its warm pool."""
        with self._changed:
            members = [one for one, name in self._groups.members().items() if name == group]
            return [one for one in members if not is_warm(self._groups.state_of(one))]

    def wait_for(self, instance_id: str, state: str, *, timeout: float = 600) -> None:
        """Return when an instance has a lifecycle state; "" is gone. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.state_of(instance_id) == state, timeout):
                raise TimeoutError(f"{instance_id} is still {self.state_of(instance_id)!r}")

    def close(self) -> None:
        """Let no action time out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._timer.join()

    def _operations(self) -> Mapping[str, Callable[[Parameters], object]]:
        return {
            "PutLifecycleHook": self._put_hook,
            "DeleteLifecycleHook": self._delete_hook,
            "DescribeLifecycleHooks": self._describe_hooks,
            "CompleteLifecycleAction": self._complete,
            "RecordLifecycleActionHeartbeat": self._record_heartbeat,
            "DescribeWarmPool": self._describe_pool,
        }

    def _put_hook(self, asked: Parameters) -> object:
        self._groups.check(asked["AutoScalingGroupName"])
        self._hooks.put(asked["AutoScalingGroupName"], asked)
        return {}

    def _delete_hook(self, asked: Parameters) -> object:
        group, name = asked["AutoScalingGroupName"], asked["LifecycleHookName"]
        self._groups.check(group)
        self._hooks.delete(group, name)
        for action in self._actions.for_hook(group, name):
            self._finish(action, ABANDON)
        return {}

    def _describe_hooks(self, asked: Parameters) -> object:
        group, names = asked["AutoScalingGroupName"], asked.get("LifecycleHookNames")
        self._groups.check(group)
        found = [one for one in self._hooks.of(group) if not names or one.name in names]
        return {"LifecycleHooks": [one.described() for one in found]}

    def _complete(self, asked: Parameters) -> object:
        check_result(asked["LifecycleActionResult"])
        self._groups.check(asked["AutoScalingGroupName"])
        self._finish(self._actions.find(asked), asked["LifecycleActionResult"])
        return {}

    def _record_heartbeat(self, asked: Parameters) -> object:
        self._groups.check(asked["AutoScalingGroupName"])
        self._actions.record_heartbeat(self._actions.find(asked), time.monotonic())
        self._changed.notify_all()
        return {}

    def _describe_pool(self, asked: Parameters) -> object:
        group = asked["AutoScalingGroupName"]
        self._groups.check(group)
        with self._groups.showing(self._shown()):
            return self._pools.described(group)

    def _read(self, query: Query, forward: Callable[[], Iterable[bytes]]) -> Iterable[bytes]:
        """Let moto describe groups and instances, with the states that are ours."""
        with self._changed, self._groups.showing(self._shown()), ExitStack() as hiding:
            if query.action == "DescribeAutoScalingGroups":
                hiding.enter_context(self._pools.hidden())
            return forward()

    def _change(self, query: Query, forward: Callable[[], Iterable[bytes]]) -> Iterable[bytes]:
        """Let moto change a group, and do the part that moto does not do."""
        asked = query.parameters()
        group = asked.get("AutoScalingGroupName", "")
        hooks = asked.get("LifecycleHookSpecificationList", ())
        with self._changed:
            for hook in hooks:
                self._hooks.checked(group, hook)
            taken = self._prepare(query.action, group, asked)
            answer = forward()
            if self._groups.exists(group):
                # The first instances of a new group wait for its hooks, too.
                for hook in hooks:
                    self._hooks.put(group, hook)
                if query.action == "ResumeProcesses":
                    self._groups.fill(group)
                self._pools.fill(group)
            self._notice()
            for instance_id in taken:
                self._launch(instance_id, group, OUT_OF_POOL)
            self._attach()
        return answer

    def _prepare(self, action: str, group: str, asked: Parameters) -> list[str]:
        """Change the warm pool before moto changes the group. Returns who left it for the group."""
        if not self._groups.exists(group):
            return []
        if action in {"DeleteWarmPool", "DeleteAutoScalingGroup"}:
            self._pools.empty(group)
        elif "DesiredCapacity" in asked:
            return self._pools.take(group, asked["DesiredCapacity"])
        return []

    def _forward(self, forward: Callable[[], Iterable[bytes]]) -> Iterable[bytes]:
        with self._changed:
            answer = forward()
            self._notice()
            self._attach()
        return answer

    def _notice(self) -> None:
        """See what changed: publish EC2's new states, and let new instances of groups wait."""
        before, self._states = self._states, self._groups.instance_states()
        for instance_id, state in self._states.items():
            if before.get(instance_id) != state:
                self._events.publish_state(instance_id, state)
        known, self._members = self._members, self._groups.members()
        for instance_id in self._actions.instances():
            if instance_id not in self._members:  # terminated or detached meanwhile
                self._actions.end_all(instance_id)
        for instance_id, group in self._members.items():
            if instance_id not in known:
                warm = is_warm(self._groups.state_of(instance_id))
                self._launch(instance_id, group, INTO_POOL if warm else INTO_GROUP)
        self._hooks.keep(self._groups.exists)
        self._changed.notify_all()

    def _launch(self, instance_id: str, group: str, way: Way) -> None:
        """Let an instance wait for all hooks of its group, side by side."""
        for hook in self._hooks.launching(group):
            action = self._actions.begin(hook, instance_id, way, time.monotonic())
            self._events.publish_launch(action, self._groups.arn(group))
        if not self._actions.of(instance_id):
            self._arrive(instance_id, way)

    def _arrive(self, instance_id: str, way: Way) -> None:
        """An instance that waits for nothing any more comes to where it goes."""
        if way == INTO_POOL:
            self._pools.settle(instance_id)
            self._notice()

    def _finish(self, action: LifecycleAction, result: str) -> None:
        """Apply the result of one action: it goes into service after the last, or is replaced."""
        instance_id, group = action.instance_id, action.hook.group
        if result == CONTINUE:
            self._actions.end(action)
            if not self._actions.of(instance_id):
                self._arrive(instance_id, action.way)
        else:
            self._actions.end_all(instance_id)
            self._groups.terminate(instance_id)
            self._groups.fill(group)
            self._pools.fill(group)
        self._notice()
        self._attach()

    def _attach(self) -> None:
        """Register who came into service with its group's target groups; deregister who left.

        Whom somebody else deregistered meanwhile stays out.
        """
        waiting = set(self._actions.instances())
        before = self._attached
        self._attached = {one for one in self._groups.attached() if one[1] not in waiting}
        for arn, instance_id in sorted(before - self._attached):
            with suppress(ApiError):  # the target group was deleted
                self._registrar.deregister(arn, instance_id)
        for arn, instance_id in sorted(self._attached - before):
            with suppress(ApiError):
                self._registrar.register(arn, instance_id)

    def _shown(self) -> dict[str, str]:
        """The lifecycle states of instances that wait."""
        return {
            one: _WARM_WAITING if self._actions.of(one)[0].way == INTO_POOL else WAITING
            for one in self._actions.instances()
        }

    def _watch_the_clock(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                try:
                    while action := self._actions.timed_out(now):
                        self._finish(action, action.hook.default)
                except Exception:
                    _LOG.exception("a lifecycle action could not time out")
                    raise
                deadline = self._actions.next_deadline()
                self._changed.wait(None if deadline is None else max(0.0, deadline - now))


__all__ = ["IN_SERVICE", "THROTTLED", "WAITING", "AutoScaling", "Call"]
