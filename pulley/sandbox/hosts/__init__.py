"""Hosts: their disks, their sites, their users."""
