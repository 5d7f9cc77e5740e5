"""Find out whether the environment still has the addresses of a sandbox that has ended.

A shell that used the sandbox keeps its addresses. The SDK would try such an address for half a
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
        """`url` is the address in the environment."""
        super().__init__(
            f"the sandbox at {url} has ended",
            detail=f"start another one ({suggest('sandbox')}), and read its environment file. To "
            "reach AWS instead, open a new shell: this one has the sandbox's addresses and keys",
        )


def check_endpoint(url: str) -> None:
    """Raise EndedError if the URL is on this machine, and nothing listens there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return  # the SDK reports what is wrong with it
    if host not in _LOOPBACK:
        return
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except ConnectionRefusedError:
        raise EndedError(url) from None
    except OSError:
        return  # as above


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise EndedError if any URL in the environment is of a sandbox that has ended."""
    for name in _VARIABLES:
        check_endpoint(environ.get(name, ""))
