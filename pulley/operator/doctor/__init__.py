"""`pulley doctor`: a check for each part, from the secret to the hosts. Checks change nothing."""
