"""`aws` on an emulated host: the real AWS command line, if this environment has it.

It finds the account and its credentials without a file, as it finds an instance's profile on EC2.
Like there, it does not know the Region.
"""

import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pulley.sandbox.hosts.users import run_as_owner

_PROGRAM = Path(sys.executable).with_name("aws")
_PACKAGES = sysconfig.get_path("purelib")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_REGION = "AWS_DEFAULT_REGION"
_AWS = """\
#!/bin/sh
# The AWS command line, with what stands for the instance's profile.
export {settings}
exec {python} {program} "$@"
"""
HANGING = """\
#!/bin/sh
# Stands in for the AWS command line on a host that cannot reach AWS.
exec sleep 3600
"""
# The words of botocore's errors. AWS CLI User Guide, "Return codes": 254 in version 2. The
# environment's is version 1, which exits with 255.
REFUSING = """\
#!/bin/sh
# Stands in for the AWS command line on a host whose role may do nothing.
operation=$(echo "$2" | sed -E 's/(^|-)(.)/\\U\\2/g')
echo >&2
echo "An error occurred (AccessDenied) when calling the $operation operation: User:" \\
    "arn:aws:sts::123456789012:assumed-role/web/i-0123456789abcdef0 is not authorized to" \\
    "perform: elasticloadbalancing:$operation because no identity-based policy allows the" \\
    "elasticloadbalancing:$operation action" >&2
exit 254
"""


@cache
def find_python() -> str:
    """A Python with which the hosts' owner can run this environment's command line; "" if none.

    The owner may not be allowed to enter the folder of the Python that runs the sandbox. The
    system's Python then reads the same packages.
    """
    if not _PROGRAM.exists():
        return ""
    for python in (sys.executable, shutil.which("python3", path=_SYSTEM_PATH)):
        if not python:
            continue
        look = ["env", f"PYTHONPATH={_PACKAGES}", python, "-c", "import awscli"]
        try:
            run_as_owner(look, cwd=Path("/"))
        except subprocess.CalledProcessError:
            continue
        return python
    return ""


def aws_program(environ: Mapping[str, str]) -> str | None:
    """The program's text, for an account's environment; None if no host can run it here."""
    python = find_python()
    if not python:
        return None
    given = {**environ, "PYTHONPATH": _PACKAGES}
    settings = [f"{key}={shlex.quote(value)}" for key, value in given.items() if key != _REGION]
    return _AWS.format(
        settings=" ".join(settings), python=shlex.quote(python), program=shlex.quote(str(_PROGRAM))
    )
