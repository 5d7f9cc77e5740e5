"""Remotes as hosts have them, on loopback: OpenSSH, git over HTTP, git-lfs."""
