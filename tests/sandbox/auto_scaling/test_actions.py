"""Lifecycle actions by a clock of the test."""

from pulley.sandbox.auto_scaling.actions import INTO_GROUP, Actions, LifecycleAction
from pulley.sandbox.auto_scaling.hooks import LifecycleHook


def begin(actions: Actions, *, seconds: int, instance_id: str = "i-1") -> LifecycleAction:
    hook = LifecycleHook("web", "pulley-dev", seconds=seconds)
    return actions.begin(hook, instance_id, INTO_GROUP, 0.0)


class TestTimedOut:
    def test_action_times_out_after_the_hook_s_seconds(self) -> None:
        actions = Actions(second=0.5)
        action = begin(actions, seconds=60)
        assert actions.next_deadline() == 30
        assert actions.timed_out(29.9) is None
        assert actions.timed_out(30) is action

    def test_heartbeat_restarts_the_time_out_but_not_beyond_a_hundred_time_outs(self) -> None:
        actions = Actions(second=1)
        action = begin(actions, seconds=60)
        actions.record_heartbeat(action, 50)
        assert actions.timed_out(109) is None
        actions.record_heartbeat(action, 5990)
        assert actions.next_deadline() == 6000
        assert actions.timed_out(6000) is action

    def test_instance_waits_for_two_days_at_most(self) -> None:
        assert begin(Actions(second=1), seconds=7200).end == 172_800

    def test_soonest_of_several_comes_first(self) -> None:
        actions = Actions(second=1)
        begin(actions, seconds=60)
        soon = begin(actions, seconds=30, instance_id="i-2")
        assert actions.timed_out(40) is soon
        actions.end(soon)
        assert actions.timed_out(40) is None
        actions.end_all("i-1")
        assert actions.next_deadline() is None
