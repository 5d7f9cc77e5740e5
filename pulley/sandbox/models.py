"""AWS's service models, which botocore reads from its files: each is read once in a process.

moto makes a session for each question about regions, and each session reads EC2's model anew: most
of the time that a sandbox took to start.
"""

from functools import cache

import botocore.session
import moto.core.utils
from botocore.loaders import create_loader


@cache
def keep_models() -> None:
    """Let every session of this process share a loader, which keeps what it has read."""
    shared = cache(create_loader)
    for module in (botocore.session, moto.core.utils):
        module.create_loader = shared  # type: ignore[attr-defined]
