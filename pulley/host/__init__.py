"""What runs on the hosts: POSIX sh in parts, which build.py joins into the one script."""
