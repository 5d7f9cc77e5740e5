"""What runs on an operator's machine: the `pulley` command and the sandbox."""

import os

# Else GitPython raises on import if git is missing. `pulley` has its own message for that.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
