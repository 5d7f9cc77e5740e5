"""What runs on an operator's machine: the `pulley` command and the sandbox."""

import os

# Without it, importing GitPython fails where there is no git; `pulley` says so in a line.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
