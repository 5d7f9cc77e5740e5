"""The `pulley` command: options, words and exit codes. pulley.operator does the work.

A command's module is imported only when the command is called, so that listing them is fast.
"""

from pulley.cli.group import CommandGroup, Listed, version_option

main = CommandGroup(
    name="pulley",
    help="Push to GitHub, and your EC2 hosts pull.",
    params=[version_option()],
    listed={
        "setup": Listed("pulley.cli.setup", "Set a stage up in AWS, or bring it to this checkout."),
        "targets": Listed(
            "pulley.cli.targets", "Say which hosts follow which branch, in pulley.toml."
        ),
        "connect": Listed(
            "pulley.cli.connect", "Make a repository's webhook on GitHub, or mend it, and ping it."
        ),
        "doctor": Listed(
            "pulley.cli.doctor", "Look at the whole chain, and say what is wrong with it."
        ),
        "plan": Listed(
            "pulley.cli.plan", "Show what is wanted of each host, and what will be done."
        ),
        "deploy": Listed("pulley.cli.deploy", "Deploy now, and follow it live."),
        "cancel": Listed("pulley.cli.cancel", "Stop what is being deployed to a target."),
        "status": Listed("pulley.cli.status", "Show where every host is, and what was sent last."),
        "history": Listed(
            "pulley.cli.history", "Show who deployed what, when and why, the newest first."
        ),
        "logs": Listed("pulley.cli.logs", "Show what the newest deploy wrote on its hosts."),
        "saved": Listed(
            "pulley.cli.saved", "Show what hosts have saved: edits that did not fit, and commits."
        ),
        "pin": Listed("pulley.cli.pin", "Keep a target at one commit: pushes do not move it."),
        "freeze": Listed("pulley.cli.pin", "Leave a target as it is: pushes do not move it."),
        "unpin": Listed("pulley.cli.unpin", "Take a pin or a freeze off: back to the branch."),
        "rollback": Listed(
            "pulley.cli.rollback", "Go back to the last good commit, and pin the target there."
        ),
        "secret": Listed("pulley.cli.secret", "Rotate the webhook's secret."),
        "simulate": Listed(
            "pulley.cli.simulate", "Say what the webhook would do with a delivery, and why."
        ),
        "demo": Listed("pulley.cli.local", "Show a good push and a bad one on this machine."),
        "sandbox": Listed(
            "pulley.cli.local", "Run an emulated AWS account, GitHub and hosts on this machine."
        ),
        "document": Listed("pulley.cli.document", "Print the SSM document, as JSON."),
        "completion": Listed(
            "pulley.cli.completion", "Print what a shell needs to complete commands and options."
        ),
    },
)
