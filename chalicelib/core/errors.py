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


class RefusedError(PulleyError):
    """AWS understood and said no: trying again without changing something is of no use."""


class UnavailableError(PulleyError):
    """It cannot be done now (throttled, timed out, not stored yet): trying again may help."""
