"""Run Command and the agents on its hosts."""
