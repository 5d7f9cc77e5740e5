"""What runs on an operator's machine: the `pulley` command and the sandbox."""
