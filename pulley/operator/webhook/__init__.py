"""A repository's webhook on GitHub, and its secret."""
