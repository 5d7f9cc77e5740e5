"""busybox as on a small host: its applets come before the tools of the same names."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

# Its timeout lacks an option, and the script reports that: such a host needs coreutils' timeout.
LEFT_OUT = "timeout"


@cache
def applets(*, left_out: str = LEFT_OUT) -> Path:
    """A folder for PATH, which other users may read, for as long as this process lives."""
    busybox = shutil.which("busybox")
    assert busybox
    folder = Path(tempfile.mkdtemp(prefix="pulley-busybox-"))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    for name in subprocess.check_output([busybox, "--list"], text=True).split():
        if name != left_out:
            (folder / name).symlink_to(busybox)
    return folder
