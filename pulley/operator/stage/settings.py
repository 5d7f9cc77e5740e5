"""Read the settings in .chalice that CloudFormation needs.

This follows Chalice's rules without importing Chalice, which the command does not need: a
function's own setting comes before the stage's, and the stage's before the app's.

Source: Chalice's documentation, "Configuration File".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulley.operator.stage.policies import PoliciesError, read_object

# Chalice's names of the app's functions.
WEBHOOK, REPORT, RECONCILE = "api_handler", "report_status_change", "reconcile_targets"
LAUNCH = "receive_launch"
FUNCTIONS = (WEBHOOK, REPORT, RECONCILE, LAUNCH)
_ROUND_MINUTES = 15  # the default in wiring.py
_API_STAGE = "api"  # Chalice's default


@dataclass(frozen=True)
class StageSettings:
    """Chalice's settings of a stage. `policies` are the roles', by function."""

    stage: str
    app_name: str
    api_stage: str
    log_days: int | None
    round_minutes: int
    policies: Mapping[str, object] = field(repr=False)

    def function_name(self, function: str) -> str:
        """What `chalice deploy` calls one of the app's functions."""
        return function_name(self.app_name, self.stage, function)


def function_name(app_name: str, stage: str, function: str) -> str:
    """What Chalice calls a function in Lambda. The webhook's name has no third part."""
    name = f"{app_name}-{stage}"
    return name if function == WEBHOOK else f"{name}-{function}"


def read_stage_settings(project: Path, stage: str) -> StageSettings:
    """Read a stage's settings from the .chalice of a clone. Raises PoliciesError."""
    folder = project / ".chalice"
    stored = read_object(folder / "config.json")
    if stage not in stored.get("stages", {}):
        raise PoliciesError([f"{folder / 'config.json'}: has no stage {stage}"])

    settings = {name: _settings_of(stored, stage, name) for name in FUNCTIONS}
    minutes = settings[RECONCILE]["environment_variables"].get("PULLEY_RECONCILE_MINUTES", "")
    return StageSettings(
        stage=stage,
        app_name=settings[WEBHOOK]["app_name"],
        api_stage=settings[WEBHOOK].get("api_gateway_stage", _API_STAGE),
        # Only set for event functions: Chalice gets the name of the webhook's log group wrong.
        log_days=settings[REPORT].get("log_retention_in_days"),
        round_minutes=int(minutes) if re.fullmatch("[1-9][0-9]{0,3}", minutes) else _ROUND_MINUTES,
        policies={
            name: read_object(folder / str(one.get("iam_policy_file")))
            for name, one in settings.items()
        },
    )


def _settings_of(stored: Mapping[str, Any], stage: str, function: str) -> dict[str, Any]:
    """A function's settings. Environment variables are merged, not replaced."""
    of_stage = stored["stages"][stage]
    of_function = of_stage.get("lambda_functions", {}).get(function, {})
    scopes = (stored, of_stage, of_function)
    merged: dict[str, Any] = {}
    variables: dict[str, str] = {}
    for scope in scopes:
        merged |= scope
        variables |= scope.get("environment_variables", {})
    return merged | {"environment_variables": variables}
