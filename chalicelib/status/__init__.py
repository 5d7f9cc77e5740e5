"""What runs where, for people: the command and the page read it. Nothing here changes anything."""
