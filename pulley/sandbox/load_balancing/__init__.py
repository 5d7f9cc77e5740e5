"""Elastic Load Balancing: target groups whose health is checked, and a balancer that forwards."""
