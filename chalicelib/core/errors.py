"""Errors of AWS and GitHub, in the two kinds that callers tell apart: refused and unavailable.

The edges raise them; the flows turn them into answers. Their text never contains a secret.
"""


class PulleyError(Exception):
    """The base of Pulley's errors. A delivery's sender sees the message, the log also `detail`."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        """Without a detail, the log has only the message."""
        super().__init__(message)
        self.detail = detail

    @property
    def in_full(self) -> str:
        """The message and the detail, for the log only."""
        return f"{self}: {self.detail}" if self.detail else str(self)


class RefusedError(PulleyError):
    """AWS or GitHub refused: a retry cannot help before somebody changes something."""


class NotTakenError(RefusedError):
    """GitHub refused a request, or has no such API. `is_known`: the log has the reason already."""

    def __init__(self, message: str, *, is_known: bool = False) -> None:
        """The message is for the operator: GitHub's text never reaches the sender of a delivery."""
        super().__init__(message)
        self.is_known = is_known


class UnavailableError(PulleyError):
    """It failed for now (throttled, timed out, not stored yet): a retry may help."""

    def __init__(
        self, message: str, *, detail: str = "", retry_seconds: float | None = None
    ) -> None:
        """`retry_seconds` is the time until a retry may help, if that is known."""
        super().__init__(message, detail=detail)
        self.retry_seconds = retry_seconds
