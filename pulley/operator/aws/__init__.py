"""Calls to AWS for an operator. Lambda's role may not make all of them."""
