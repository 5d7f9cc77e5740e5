"""The lifecycle hooks that keep new instances out of service until they have their commit."""
