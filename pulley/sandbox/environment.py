"""The files of a sandbox for another terminal: its environment, its secrets."""

import shlex
from collections.abc import Mapping
from pathlib import Path

# A shell may have these; they win over the variables that are set here, and lead elsewhere.
_IN_THE_WAY = ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")


def write_environment(path: Path, environ: Mapping[str, str]) -> None:
    """A file for a POSIX shell to read: `. FILE`. It has the account's key."""
    lines = ["# Sends the AWS command line, boto3 and pulley to a sandbox on this machine."]
    lines += [f"unset {' '.join(_IN_THE_WAY)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environ.items()]
    lines += [
        f'export {name}="127.0.0.1${{{name}:+,${name}}}"' for name in ("NO_PROXY", "no_proxy")
    ]
    write_secret(path, ("\n".join(lines) + "\n").encode())


def write_secret(path: Path, secret: bytes) -> None:
    """A file that only the user can read."""
    path.touch(mode=0o600)
    path.write_bytes(secret)


def write_token(folder: Path, token: str) -> None:
    """GitHub's token: for a command of pulley, and as the header that curl reads from a file.

    Other users could read a header on curl's command line.
    """
    write_secret(folder / "github-token", token.encode())
    write_secret(folder / "github-header", f"Authorization: Bearer {token}\n".encode())
