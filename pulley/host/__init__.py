"""What runs on the hosts: POSIX sh in parts, joined by build.py, and the document around it."""
