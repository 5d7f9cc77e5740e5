"""The script under test: the built script, in a file."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from pulley.host.build import build


@cache
def written_script() -> Path:
    """The file, which other users may read, for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="pulley-script-"))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    (script := folder / "pull.sh").write_text(build())
    return script
