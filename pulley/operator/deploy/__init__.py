"""Deploys, cancels, roll backs and pins by an operator."""
