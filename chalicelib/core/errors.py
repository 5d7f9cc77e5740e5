"""What can go wrong beyond this process, in the two kinds that a caller must tell apart.

The edges raise them, the flows let them decide an answer. Neither ever carries a secret.
"""


class PulleyError(Exception):
    """The base of every error that Pulley raises on purpose.

    The message may be shown to whoever sent the delivery; `detail` is for the operator's log.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        """Without a detail the log has the message alone."""
        super().__init__(message)
        self.detail = detail

    @property
    def in_full(self) -> str:
        """The message and the detail, for the log alone."""
        return f"{self}: {self.detail}" if self.detail else str(self)


class RefusedError(PulleyError):
    """AWS or GitHub said no: trying again without changing something is of no use."""


class NotTakenError(RefusedError):
    """GitHub does not take what it is told. `is_known` where the log has said so before."""

    def __init__(self, message: str, *, is_known: bool = False) -> None:
        """The message is for the operator: nothing that GitHub says reaches whoever pushed."""
        super().__init__(message)
        self.is_known = is_known


class UnavailableError(PulleyError):
    """It cannot be done now (throttled, timed out, not stored yet): trying again may help."""

    def __init__(
        self, message: str, *, detail: str = "", retry_seconds: float | None = None
    ) -> None:
        """`retry_seconds` is when trying again may help, where that is known."""
        super().__init__(message, detail=detail)
        self.retry_seconds = retry_seconds
