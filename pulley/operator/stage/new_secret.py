"""Make a webhook secret."""

import secrets

SECRET_BYTES = 32


def new_secret() -> str:
    """Random bytes in hex."""
    return secrets.token_hex(SECRET_BYTES)
