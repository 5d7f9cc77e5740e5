"""Read what runs where, and what was done. Nothing here changes anything."""
