"""`pulley setup`: read a stage, plan its changes, and apply them."""
