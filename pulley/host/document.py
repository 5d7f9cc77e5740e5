"""The SSM document: the script, and the parameters that it takes, each with its pattern.

Lambda sends it by its name; it is stored by `pulley setup`, so none of this is in the zip.
"""

import json
from collections.abc import Mapping

from chalicelib.core.commands import BY_PATTERN
from chalicelib.core.drain import DRAIN_PATTERN
from chalicelib.core.paths import PATHS_PATTERN, RELEASES_PATTERN
from chalicelib.core.refs import BRANCH_PATTERN, REPOSITORY_PATTERN
from chalicelib.core.targets import (
    AFTER_PULL_PATTERN,
    CHECKOUT_PATTERN,
    CLONE_PATTERN,
    HEALTH_CHECK_PATTERN,
    NAME_PATTERN,
    OWNER_PATTERN,
)
from chalicelib.core.units import RESTART_PATTERN

RELEASE = "0.2.0"  # pyproject.toml has the same
PRODUCT = "Pulley/"
# The agent enforces allowedPattern only, unanchored, as RE2; and before version 3.3.2746.0 it
# writes the value into the script as text. So each is anchored, and admits no quote, `$`,
# backslash, brace, space or newline. docs/host.md has the meanings.
PARAMETERS: Mapping[str, str] = {
    "Target": NAME_PATTERN,
    "Repository": REPOSITORY_PATTERN,
    "Checkout": CHECKOUT_PATTERN,
    "Branch": BRANCH_PATTERN,
    "Commit": "^([0-9a-f]{40})?$",
    "Update": "^((rebase|reset|tag)(-to)?|exact|check(-tag)?|saved|drop)$",
    "AfterPull": AFTER_PULL_PATTERN,
    "Restart": RESTART_PATTERN,
    "HealthCheck": HEALTH_CHECK_PATTERN,
    "Paths": PATHS_PATTERN,
    "Clone": CLONE_PATTERN,
    "Owner": OWNER_PATTERN,
    "Timeout": "^[1-9][0-9]{1,5}$",
    "Issued": "^([0-9]{1,15})?$",
    "Cause": "^(push|reconcile|rollback|manual)$",
    "Delivery": "^[0-9A-Za-z-]{0,64}$",
    "Deployment": "^[0-9]{0,20}$",
    "Attempt": "^[1-9]?$",
    "By": BY_PATTERN,
    "PushedAt": "^([0-9-]{10}T[0-9:]{8}Z)?$",
    "Saved": "^(keep|fail)?$",
    "Drain": DRAIN_PATTERN,
    "BeforeRestart": AFTER_PULL_PATTERN,
    "AfterHealthy": AFTER_PULL_PATTERN,
    "Releases": RELEASES_PATTERN,
}
_DEFAULTS = {"Update": "rebase", "Timeout": "600", "Cause": "manual"} | dict.fromkeys(
    (
        *("Commit", "AfterPull", "Restart", "HealthCheck", "Paths", "Issued", "Delivery"),
        *("Deployment", "Attempt", "By", "PushedAt", "Saved", "Clone", "Owner"),
        *("Drain", "BeforeRestart", "AfterHealthy", "Releases"),
    ),
    "",
)
# The agent takes the step's limit only by text substitution; an environment variable would leave
# the braces standing.
_BY_TEXT = "Timeout"
# The report reads these from the command. The script does not, so they need no variable.
_FOR_THE_REPORT = frozenset(("Delivery", "Deployment", "Attempt", "By", "PushedAt", "Saved"))


def build_document(script: str) -> dict[str, object]:
    """The SSM document (schema 2.2, one step: a failed step would not stop the next).

    The script is one string in the list of commands: the agent compiles patterns for each element,
    which took a second of every run when each line was one.
    """
    parameters = {}
    for name, pattern in PARAMETERS.items():
        parameter = {"type": "String", "allowedPattern": pattern}
        if name in _DEFAULTS:
            parameter["default"] = _DEFAULTS[name]
        if name not in _FOR_THE_REPORT | {_BY_TEXT}:
            parameter["interpolationType"] = "ENV_VAR"
        parameters[name] = parameter
    step = {
        "action": "aws:runShellScript",
        "name": "pull",
        "precondition": {"StringEquals": ["platformType", "Linux"]},
        "inputs": {
            "timeoutSeconds": f"{{{{ {_BY_TEXT} }}}}",
            "runCommand": [script],
        },
    }
    return {
        "schemaVersion": "2.2",
        "description": PRODUCT + RELEASE,
        "parameters": parameters,
        "mainSteps": [step],
    }


def document_text(content: Mapping[str, object]) -> str:
    """The document as it is stored. Without spaces: a document holds 64 KB."""
    return json.dumps(content, separators=(",", ":"))
