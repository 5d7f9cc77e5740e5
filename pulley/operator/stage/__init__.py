"""A stage: its account, its settings, and the clone beside it."""
