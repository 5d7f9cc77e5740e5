"""The git commands that people are told to type on a host."""

import shlex

from chalicelib.core.targets import Target


def git_command(target: Target) -> str:
    """The beginning of a git command in the target's checkout, as the checkout's owner."""
    place = shlex.quote(target.checkout)
    return f'sudo -u "$(stat -c %U {place})" git -C {place}'
