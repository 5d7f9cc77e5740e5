"""The `pulley` command: options, words and exit codes. pulley.operator does the work.

A module of commands is imported when one of them is called: the sandbox alone takes a second.
"""

from pulley.cli.group import CommandGroup

main = CommandGroup(
    name="pulley",
    help="Push to GitHub, and your EC2 hosts pull.",
    modules={
        "setup": "pulley.cli.setup",
        "targets": "pulley.cli.targets",
        "connect": "pulley.cli.connect",
        "doctor": "pulley.cli.doctor",
        "plan": "pulley.cli.plan",
        "deploy": "pulley.cli.deploy",
        "cancel": "pulley.cli.cancel",
        "status": "pulley.cli.status",
        "history": "pulley.cli.history",
        "logs": "pulley.cli.logs",
        "pin": "pulley.cli.hold",
        "freeze": "pulley.cli.hold",
        "unpin": "pulley.cli.hold",
        "rollback": "pulley.cli.rollback",
        "secret": "pulley.cli.secret",
        "simulate": "pulley.cli.simulate",
        "demo": "pulley.cli.local",
        "sandbox": "pulley.cli.local",
        "document": "pulley.cli.document",
    },
)
