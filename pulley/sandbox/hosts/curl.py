"""`curl` on an emulated host: it accepts the script's arguments, and nothing else.

The hosts share one loopback, and a target's `health_check` is one URL for all of them. So a request
to 127.0.0.1 at the sites' port goes to the address of this host's own site. This file is copied to
each host and run with the standard library only, as a user who may not read Pulley's folder: it
must import nothing of Pulley's.
"""

import socket
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

_WANTED = ["-gsS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time"]
_LOOPBACK = ["--noproxy", "*"]  # the script's option for its own host; here is no proxy at all
_USAGE, _FAILED = 2, 7  # curl's exit codes: used wrongly; could not connect


def main(arguments: Sequence[str]) -> int:
    """`SHARED OWN`, each host:port, and then curl's arguments. Returns curl's exit code."""
    shared, own, *asked = arguments
    known, rest = asked[: len(_WANTED)], asked[len(_WANTED) :]
    if (
        known != _WANTED
        or len(rest) not in {3, 5}
        or rest[1:-1] not in (["--"], [*_LOOPBACK, "--"])
    ):
        usage = f"{' '.join(_WANTED)} SECONDS [{' '.join(_LOOPBACK)}] -- URL"
        sys.stderr.write(f"curl: this stand-in takes {usage}\n")
        return _USAGE
    try:
        code = _ask(rest[-1], {shared: own}, float(rest[0]))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"curl: ({_FAILED}) {error}\n")
        code = 0
    sys.stdout.write(f"{code:03}")
    return 0 if code else _FAILED


def _ask(address: str, moved: dict[str, str], seconds: float) -> int:
    """The status code of a GET. `seconds` bounds each wait. Raises OSError and ValueError.

    `http.client` would take longer to import than all of this takes to run.
    """
    url = urlsplit(address)
    if url.scheme != "http":
        raise ValueError(f"this stand-in speaks http, not {url.scheme}")
    place = urlsplit("//" + moved.get(url.netloc, url.netloc))
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    with socket.create_connection((place.hostname or "", place.port or 80), seconds) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            version, _, rest = answer.readline(1000).decode("latin-1").partition(" ")
    if not version.startswith("HTTP/"):
        raise ValueError("no answer in HTTP")
    return int(rest[:3])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
