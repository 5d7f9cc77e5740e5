"""A folder for PATH with this machine's programs except some, made once, since they are many."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

_FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")


@cache
def folder_without(*programs: str) -> Path:
    """Links to all programs on PATH, as long as this process lives. Do not write into it."""
    folder = Path(tempfile.mkdtemp(prefix="pulley-programs-"))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    found: dict[str, str] = {}
    for place in (*os.environ["PATH"].split(":"), *_FOLDERS):
        if Path(place).is_dir():
            for program in os.scandir(place):
                found.setdefault(program.name, program.path)
    for name in found.keys() - set(programs):
        (folder / name).symlink_to(found[name])
    return folder
