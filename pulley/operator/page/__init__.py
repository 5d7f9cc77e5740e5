"""The page on the operator's machine, and the link to the hosted one."""
