"""Read from Chalice's files a stage's settings, and what `chalice deploy` made of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pulley.project import find_project

_ROUTE = "github"


@dataclass(frozen=True)
class DeployedStage:
    """A stage by the files in a clone of Pulley. All is empty without a clone."""

    stage: str

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The stage's environment variables."""
        stages = _read("config.json").get("stages", {})
        found = stages.get(self.stage, {}).get("environment_variables", {})
        return {str(name): str(value) for name, value in found.items()}

    @cached_property
    def webhook_url(self) -> str:
        """The address that the last `chalice deploy` from here gave the webhook; "" without one."""
        resources = _read(f"deployed/{self.stage}.json").get("resources", [])
        urls = [one.get("rest_api_url", "") for one in resources if isinstance(one, dict)]
        return next((f"{url.rstrip('/')}/{_ROUTE}" for url in urls if url), "")


def _read(name: str) -> dict[str, Any]:
    """Read a file in .chalice; {} if there is none."""
    project = find_project()
    try:
        content = json.loads((project / ".chalice" / name).read_text()) if project else {}
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
