"""Deploys, the way back, and pins by hand."""
