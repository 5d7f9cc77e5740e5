"""Hostile strings, in every place that somebody else may write to, through to a real shell."""
