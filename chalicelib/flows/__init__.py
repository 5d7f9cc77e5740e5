"""One module a way through the house: gather, decide, apply. Each names the ports it needs."""
