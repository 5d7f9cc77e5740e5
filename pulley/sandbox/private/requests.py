"""Which requests no server of the sandbox answers: those that a web page had a browser send.

A page can reach a server on loopback in two ways. It sends requests to the server's address: then
the browser names the page's own origin. Or it lets its own name point to loopback ("DNS
rebinding"): then the browser names that host.

Sources: Fetch Standard, "`Origin` header"; Fetch Metadata Request Headers; RFC 9110, "Host".
"""

import re
from collections.abc import Sequence
from typing import Protocol

_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3})(?::[0-9]{1,5})?", re.IGNORECASE)
_READING = frozenset({"GET", "HEAD"})
# Headers with which a server would let other origins read its answers.
PERMISSIVE = "access-control-"


class Headers(Protocol):
    """A request's headers, as `http.server` and werkzeug have them."""

    def get_all(self, name: str, /) -> Sequence[str] | None:
        """All values of a header."""
        ...


def refusal(method: str, headers: Headers) -> str:
    """Why a request is refused; "" if it is not.

    A link to a server may be followed from anywhere: that shows nothing to the page with the link.
    """
    hosts = headers.get_all("Host") or []
    if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
        return "Host must be localhost or an address in 127.0.0.0/8"
    if any(one != f"http://{hosts[0]}" for one in headers.get_all("Origin") or []):
        return "a request of another origin"
    sites = set(headers.get_all("Sec-Fetch-Site") or []) - {"none", "same-origin"}
    if sites and not (method in _READING and _is_followed_link(headers)):
        return "a request of another site"
    return ""


def _is_followed_link(headers: Headers) -> bool:
    wanted = {"Sec-Fetch-Mode": ["navigate"], "Sec-Fetch-Dest": ["document"]}
    return all(list(headers.get_all(name) or []) == value for name, value in wanted.items())
