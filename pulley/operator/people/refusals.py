"""Say, where AWS refuses a call, which policy for people would allow it."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pulley.operator.people.grants import EVERYTHING, LEVELS, Grant, grants_of
from pulley.operator.people.policies import policy_name

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from botocore.model import OperationModel

# How services name a refusal of IAM. Source: Amazon EC2 API Reference, "Error codes", and the
# common errors of the others.
_CODES = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_ASKED = "pulley-asked"


def explain_refusals(events: "BaseEventHooks", stage: str) -> None:
    """Let each refusal of IAM end with the action and the policy, for all clients made later."""

    def keep(params: Mapping[str, Any], context: dict[str, Any], **_event: object) -> None:
        context[_ASKED] = params

    def explain(
        parsed: dict[str, Any],
        model: "OperationModel",
        context: Mapping[str, Any],
        **_event: object,
    ) -> None:
        error = parsed.get("Error", {})
        if error.get("Code") not in _CODES:
            return
        action = f"{model.service_model.signing_name}:{model.name}"
        level = level_for(action, context.get(_ASKED, {}))
        who = f"the policy {policy_name(stage, level)}" if level else "none of Pulley's policies"
        error["Message"] = f"{error.get('Message', '')}; {who} allows {action}"

    events.register("before-parameter-build", keep)
    events.register("after-call", explain)


def level_for(action: str, asked: Mapping[str, Any]) -> str:
    """The lowest level that may call the action with these arguments; "" if none may."""
    for level in LEVELS:
        grants = [one for one in grants_of(level) if one.action == action]
        if grants and all(_is_in(name, grants) for name in _parameters(asked)):
            return level
    return ""


def _parameters(asked: Mapping[str, Any]) -> Sequence[str]:
    """The names of the parameters that a call is about."""
    names = asked.get("Names") or [asked.get("Name")]
    return [name for name in names if isinstance(name, str) and name.startswith("/pulley/")]


def _is_in(name: str, grants: Sequence[Grant]) -> bool:
    rest = "/".join(["STAGE", *name.split("/")[3:]])
    return any(
        one.resources == EVERYTHING
        or any(fnmatchcase(f"ssm:*:parameter/pulley/{rest}", each) for each in one.resources)
        for one in grants
    )
