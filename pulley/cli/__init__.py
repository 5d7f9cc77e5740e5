"""The `pulley` command: options, words and exit codes. pulley.operator does the work.

A module of commands is imported when one of them is called: the sandbox alone takes a second.
"""

from pulley.cli.group import CommandGroup

main = CommandGroup(
    name="pulley",
    help="Push to GitHub, and your EC2 hosts pull.",
    modules={
        "demo": "pulley.cli.local",
        "sandbox": "pulley.cli.local",
        "document": "pulley.cli.document",
    },
)
