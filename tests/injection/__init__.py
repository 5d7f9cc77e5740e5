"""Hostile strings in every place that outsiders can write to, up to a real shell."""
