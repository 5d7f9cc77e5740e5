"""A stage: its account, its settings, and the operator's clone."""
