"""What runs where, and what was done: read, and changed by nothing."""
