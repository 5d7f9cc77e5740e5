"""`pulley setup`: what is there, what is to change, and the changes."""
