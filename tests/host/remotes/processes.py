"""The processes that a run left."""

import contextlib
from pathlib import Path

from tests.host.conftest import Site


def left_by_runs(site: Site) -> dict[int, str]:
    """The processes that a run in this checkout started, and their names.

    They have its environment, but for ssh's master connection: it writes its title over that.
    """
    environ, title = f"SSM_Checkout={site.checkout}\0".encode(), f"ssh: {site.root}/".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                environ in (process / "environ").read_bytes()
                or title in (process / "cmdline").read_bytes()
            ):
                found[int(process.name)] = (process / "comm").read_text().strip()
    return found
