"""Chalice's record of what it deployed, in the clone: without the app it misleads `chalice deploy`.

It is removed only if it is of this account and region.
"""

import json
from functools import partial
from pathlib import Path

from chalicelib.core.errors import RefusedError
from pulley.operator.uninstall.found import Found, Removal

RECORD = "Chalice's record"


def find_record(project: Path | None, stage: str, *, account: str, region: str) -> Found:
    """The record of the stage in a clone of Pulley; nothing without one."""
    path = project / f".chalice/deployed/{stage}.json" if project else None
    try:
        text = path.read_text(encoding="utf-8") if path else ""
        resources = json.loads(text)["resources"]
    except (OSError, ValueError, LookupError, TypeError):
        return Found()
    if path is None or not resources or f":{region}:{account}:function:" not in text:
        return Found()
    why = "what the last chalice deploy from here made"
    return Found((Removal(RECORD, str(path), why, remove=partial(_delete, path)),))


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RefusedError(f"{path} cannot be removed: {error.strerror}") from None
