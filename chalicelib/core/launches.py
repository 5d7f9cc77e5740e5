"""Launches: which events tell of a new instance, and what Auto Scaling is answered.

A lifecycle hook keeps an instance out of service (Pending:Wait) until somebody answers. Pulley's
hook has the name `hook_name`, so that it never answers for a hook of somebody else.

Source: Amazon EC2 Auto Scaling User Guide, "EventBridge event reference for Auto Scaling lifecycle
hooks"; Amazon EC2 User Guide, "State change events".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.core.plan import NOTHING, PARKED, SEND, WAIT, HostPlan, TargetPlan
from chalicelib.core.refs import InstanceId, shown

LAUNCH_ACTION = "EC2 Instance-launch Lifecycle Action"
STATE_CHANGE = "EC2 Instance State-change Notification"
CONTINUE_ANSWER, ABANDON_ANSWER = "CONTINUE", "ABANDON"  # CompleteLifecycleAction's
GROUP_TAG = "aws:autoscaling:groupName"  # Auto Scaling puts it on its instances


def hook_name(stage: str) -> str:
    """The name of the stage's lifecycle hooks: one in each group."""
    return f"pulley-{stage}"


@dataclass(frozen=True)
class Launch:
    """A new instance. `group` is its Auto Scaling group if our hook holds it there, else ""."""

    instance: InstanceId
    group: str = ""


@dataclass(frozen=True)
class NotLaunched:
    """An event that is ignored, and the reason."""

    reason: str


def parse_launch(event: object, stage: str) -> Launch | NotLaunched:
    """Parse an event, which may be anything."""
    fields = event if isinstance(event, Mapping) else {}
    kind, source = fields.get("detail-type"), fields.get("source")
    detail = fields.get("detail")
    if isinstance(detail, Mapping) and (kind, source) == (STATE_CHANGE, "aws.ec2"):
        return _started(detail)
    if isinstance(detail, Mapping) and (kind, source) == (LAUNCH_ACTION, "aws.autoscaling"):
        return _held(detail, stage)
    return NotLaunched(f"not a launch but {shown(kind)} of {shown(source)}")


def _started(detail: Mapping[object, object]) -> Launch | NotLaunched:
    if detail.get("state") != "running":
        return NotLaunched(f"the instance is {shown(detail.get('state'))}")
    return _launch(detail.get("instance-id"), "")


def _held(detail: Mapping[object, object], stage: str) -> Launch | NotLaunched:
    hook, group = detail.get("LifecycleHookName"), detail.get("AutoScalingGroupName")
    if hook != hook_name(stage):
        return NotLaunched(f"the lifecycle hook {shown(hook)} is not ours")
    if not isinstance(group, str) or not group:
        return NotLaunched(f"no Auto Scaling group but {shown(group)}")
    return _launch(detail.get("EC2InstanceId"), group)


def _launch(named: object, group: str) -> Launch | NotLaunched:
    instance = InstanceId.read(named) if isinstance(named, str) else None
    return Launch(instance, group) if instance else NotLaunched(f"no instance but {shown(named)}")


@dataclass(frozen=True)
class LaunchAnswer:
    """What to answer Auto Scaling; "" for not yet. `has_failed`: some target's commit is not there.

    `reason` is for people. `is_under_way`: a command is, so the instance needs more time.
    """

    result: str
    reason: str
    has_failed: bool = False
    is_under_way: bool = False


def answer_launch(plans: Sequence[tuple[TargetPlan, HostPlan]]) -> LaunchAnswer:
    """The answer for an instance, by its plan in each of its targets.

    It continues when it was seen at what every target wants, and no command is under way on it. It
    waits for a target of which no commit is known. If a target failed and nothing else can be had,
    the target's `launch` decides.
    """
    failed: list[tuple[TargetPlan, str]] = []
    waiting: list[str] = []
    for target_plan, plan in plans:
        name = target_plan.target.name
        why = _why_failed(target_plan, plan)
        if why:
            failed.append((target_plan, f"{name}: {why}"))
        elif not plan.is_there or plan.action != NOTHING:
            waiting.append(f"{name}: {plan.reason}")
    said = "; ".join(words for _, words in failed)
    if any(one.target.launch == "abandon" for one, _ in failed):
        return LaunchAnswer(ABANDON_ANSWER, said, has_failed=True)
    if waiting:
        # Runs that touch nothing, again and again, must not keep it for ever.
        is_under_way = any(
            plan.is_busy or (plan.action == SEND and plan.failed is None) for _, plan in plans
        )
        return LaunchAnswer("", "; ".join(waiting), is_under_way=is_under_way)
    if failed:
        return LaunchAnswer(CONTINUE_ANSWER, said, has_failed=True)
    has = "it has what its targets want" if plans else "no target has it"
    return LaunchAnswer(CONTINUE_ANSWER, has)


def _why_failed(target_plan: TargetPlan, plan: HostPlan) -> str:
    """Why the instance cannot be brought to a commit now; "" if it is there, or still may be."""
    if plan.is_there or plan.is_busy or plan.action not in {WAIT, PARKED}:
        return ""
    failed = plan.failed
    if failed and not failed.touched_nothing:
        return failed.words or plan.reason
    is_held = bool(target_plan.hold and target_plan.held and plan.wanted is None)
    return f"{target_plan.held}, and no good commit is known" if is_held else ""
