"""What others published, what was recorded, and the app of `tests/app`.

`make contract` fetches and records first; these tests need both.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import document, run_command, session, stage
from tests.app.policies import PROJECT

__all__ = ["document", "published", "recorded", "run_command", "session", "stage"]

BUILD = PROJECT / "build/contract"


def published(path: str) -> Path:
    """A file, or a folder, of a package of GitHub's or its webhooks project's."""
    place = BUILD / "node_modules/@octokit" / path
    if not place.exists():
        pytest.fail(f"{place} is not there: run `make contract`")
    return place


def recorded(kind: str) -> Iterator[dict[str, Any]]:
    """What the ordinary tests made Pulley ask: `aws` or `github`."""
    folder = Path(os.environ.get("PULLEY_RECORDINGS", BUILD / "recorded"))
    files = sorted(folder.glob(f"{kind}-*.jsonl"))
    if not files:
        pytest.fail(f"{folder} has no records of {kind}: run `make contract`")
    for file in files:
        for line in file.read_text().splitlines():
            yield json.loads(line)
