"""An AWS account and a fleet on this machine, for `make demo`, `pulley sandbox` and the tests."""
