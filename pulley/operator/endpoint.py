"""The address that stands in AWS's place, where the environment names one.

A sandbox that has ended leaves its address in the shells that used it. The SDK would try it for
half a minute, and then name neither.
"""

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from chalicelib.core.errors import UnavailableError
from pulley.operator.suggest import suggest

_VARIABLE = "AWS_ENDPOINT_URL"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SECONDS = 1.0


def check_endpoint(environ: Mapping[str, str]) -> None:
    """Raise UnavailableError where nobody listens at this machine's own address."""
    url = environ.get(_VARIABLE, "")
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
        raise UnavailableError(
            f"the sandbox at {url} has ended: start another one ({suggest('sandbox')}), and read "
            f"its environment file. To reach AWS instead, unset {_VARIABLE}, or open a new shell"
        ) from None
    except OSError:
        return  # as above
