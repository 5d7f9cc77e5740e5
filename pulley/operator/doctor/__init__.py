"""`pulley doctor`: a check for each link of the chain. Looking changes nothing."""
