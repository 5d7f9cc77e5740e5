"""AWS as an operator uses it, beyond what Lambda may."""
