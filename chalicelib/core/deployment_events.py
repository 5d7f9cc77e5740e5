"""Events that say that somebody asks for a deployment. They only wake the round, which asks GitHub.

Source: GitHub's page "Webhook events and payloads": deployment, deployment_status.
"""

from collections.abc import Mapping

from chalicelib.core.deployments import read_payload

DEPLOYMENT_EVENTS = ("deployment", "deployment_status")  # a webhook gets these
# A workflow's job posts these when its reviewers have approved.
_APPROVED = frozenset({"queued", "pending", "in_progress"})


def asked_environment(event: str, payload: Mapping[str, object]) -> str | None:
    """The environment in which somebody else may ask for a deployment; None if nobody does.

    GitHub also tells of the statuses that Pulley posts. So a status counts only if a workflow
    posted it.
    """
    deployment = payload.get("deployment")
    if not isinstance(deployment, dict):
        return None
    own = read_payload(deployment.get("payload"))
    if all(isinstance(own.get(key), str) and own[key] for key in ("stage", "target")):
        return None  # Pulley's own
    if event == "deployment_status":
        status = payload.get("deployment_status")
        state = status.get("state") if isinstance(status, dict) else None
        is_approved = isinstance(state, str) and state in _APPROVED
        if not is_approved or not isinstance(payload.get("workflow_run"), dict):
            return None
    environment = deployment.get("environment")
    return environment if isinstance(environment, str) else None
