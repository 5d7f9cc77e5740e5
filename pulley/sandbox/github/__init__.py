"""GitHub's part: its API, its webhooks, its git."""
