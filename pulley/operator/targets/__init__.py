"""`pulley targets`: the file, what is stored, and the difference."""
