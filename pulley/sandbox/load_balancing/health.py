"""One health check of a target, over HTTP.

Source: Elastic Load Balancing API Reference, "TargetHealth".
"""

from http.client import HTTPConnection, HTTPException

from pulley.sandbox.load_balancing.target_groups import Settings
from pulley.sandbox.load_balancing.targets import UNHEALTHY, Health

_NO_CONNECTION = Health(UNHEALTHY, "Target.FailedHealthChecks", "Health checks failed")
_TIMED_OUT = Health(UNHEALTHY, "Target.Timeout", "Request timed out")


def check_health(address: str | None, port: int, settings: Settings) -> Health | None:
    """Request the group's path once. None if the target passes; without an address it does not."""
    if address is None:
        return _NO_CONNECTION
    connection = HTTPConnection(address, settings.check_port_of(port), timeout=settings.timeout)
    try:
        connection.request("GET", settings.path, headers={"User-Agent": "ELB-HealthChecker/2.0"})
        code = connection.getresponse().status
    except TimeoutError:
        return _TIMED_OUT
    except (OSError, HTTPException):
        return _NO_CONNECTION
    finally:
        connection.close()
    if settings.accepts(code):
        return None
    description = f"Health checks failed with these codes: [{code}]"
    return Health(UNHEALTHY, "Target.ResponseCodeMismatch", description)
