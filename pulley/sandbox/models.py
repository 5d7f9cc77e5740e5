"""Makes botocore read each of AWS's service models only once in a process.

moto makes a session whenever it needs the regions, and each session reads EC2's model from its file
again. That took most of the time that a sandbox needed to start.
"""

from functools import cache

import botocore.session
import moto.core.utils
from botocore.loaders import create_loader


@cache
def keep_models() -> None:
    """Make all sessions of this process share a loader, which caches what it has read."""
    shared = cache(create_loader)
    for module in (botocore.session, moto.core.utils):
        module.create_loader = shared  # type: ignore[attr-defined]
