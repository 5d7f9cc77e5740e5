"""Addresses of this machine that the environment names in AWS's and GitHub's place: a sandbox's.

A sandbox that has ended leaves them in the shells that used it. The SDK would try one for half a
minute, and then name neither the address nor the cause.
"""

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from chalicelib.core.errors import UnavailableError
from pulley.operator.suggest import suggest

AWS = "AWS_ENDPOINT_URL"
_VARIABLES = (AWS, "PULLEY_GITHUB_API", "PULLEY_WEBHOOK_URL")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SECONDS = 1.0


class EndedError(UnavailableError):
    """The sandbox at an address has ended. `detail` is what to do about it."""

    def __init__(self, url: str) -> None:
        """The address that the environment names."""
        super().__init__(
            f"the sandbox at {url} has ended",
            detail=f"start another one ({suggest('sandbox')}), and read its environment file. To "
            "reach AWS instead, open a new shell: this one has the sandbox's addresses and keys",
        )


def check_endpoint(url: str) -> None:
    """Raise EndedError where nobody listens at this machine's own address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return  # the SDK says what is wrong with it
    if host not in _LOOPBACK:
        return
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except ConnectionRefusedError:
        raise EndedError(url) from None
    except OSError:
        return  # as above


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise EndedError where the environment has any address of a sandbox that has ended."""
    for name in _VARIABLES:
        check_endpoint(environ.get(name, ""))
