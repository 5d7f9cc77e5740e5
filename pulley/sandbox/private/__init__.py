"""Keeps a sandbox to the user who started it: its servers run commands for whoever they hear."""
