"""The clone of Pulley to deploy from.

`chalice deploy` and the sandbox need a whole clone, with app.py and .chalice. The command runs
from one, or it was installed (by pipx, say) and finds the one around the current folder.
"""

import json
from pathlib import Path

from chalicelib.core.errors import UnavailableError

_HERE = Path(__file__).parents[1]


def find_project() -> Path | None:
    """The clone of Pulley: this command's own, else the current folder's, else None."""
    folder = Path.cwd()
    return next((one for one in (_HERE, folder, *folder.parents) if _is_pulley(one)), None)


def project() -> Path:
    """The clone of Pulley. Raises UnavailableError if there is none."""
    found = find_project()
    if found is None:
        raise UnavailableError(
            "this needs a clone of Pulley, and neither this command nor the current folder is in "
            "one: run it in a clone of Pulley's repository"
        )
    return found


def is_other_release(checkout: Path) -> bool:
    """Whether the clone's script for the hosts differs from this command's."""
    return checkout != _HERE and _parts(checkout) != _parts(_HERE)


def _parts(folder: Path) -> dict[str, str]:
    host = folder / "pulley/host"
    return {path.name: path.read_text(encoding="utf-8") for path in host.glob("*.sh")}


def _is_pulley(folder: Path) -> bool:
    """Whether the folder has app.py, and Chalice's settings of the app "pulley"."""
    try:
        settings = json.loads((folder / ".chalice/config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    is_ours = isinstance(settings, dict) and settings.get("app_name") == "pulley"
    return is_ours and (folder / "app.py").is_file()
