"""The `pulley` command: options, words and exit codes. pulley.operator does the work.

A command's module is imported only when the command is called, so that listing them is fast.
"""

from pulley.cli.group import CommandGroup, Listed, version_option

main = CommandGroup(
    name="pulley",
    help="Push to GitHub, and your EC2 hosts pull.",
    params=[version_option()],
    listed={
        "setup": Listed("pulley.cli.setup", "Set a stage up in AWS, or upgrade it."),
        "targets": Listed("pulley.cli.targets", "Manage targets: which hosts follow which branch."),
        "connect": Listed(
            "pulley.cli.connect", "Create or fix a repository's webhook on GitHub, and ping it."
        ),
        "doctor": Listed(
            "pulley.cli.doctor", "Check all parts, from secret to hosts, and say what to fix."
        ),
        "plan": Listed(
            "pulley.cli.plan", "Show each host's wanted commit, and what the next round will do."
        ),
        "deploy": Listed("pulley.cli.deploy", "Deploy now, and follow it live."),
        "promote": Listed(
            "pulley.cli.promote", "Send a target what the targets before it run, and follow it."
        ),
        "cancel": Listed("pulley.cli.cancel", "Stop a deploy to a target before it ends."),
        "status": Listed("pulley.cli.status", "Show each host's commit, and the newest command."),
        "open": Listed("pulley.cli.open", "Show what runs where, in a browser."),
        "history": Listed(
            "pulley.cli.history", "Show who deployed what, when and why, the newest first."
        ),
        "logs": Listed("pulley.cli.logs", "Show what the newest command wrote on its hosts."),
        "saved": Listed(
            "pulley.cli.saved", "Show the edits and commits of people that hosts have set aside."
        ),
        "pin": Listed("pulley.cli.pin", "Keep a target at one commit: pushes do not move it."),
        "freeze": Listed("pulley.cli.pin", "Leave a target as it is: pushes do not move it."),
        "unpin": Listed(
            "pulley.cli.unpin", "Remove a pin or a freeze, and follow the branch again."
        ),
        "rollback": Listed(
            "pulley.cli.rollback", "Go back to the last good commit, and pin the target there."
        ),
        "secret": Listed("pulley.cli.secret", "Rotate the webhook's secret."),
        "simulate": Listed(
            "pulley.cli.simulate", "Say what the webhook would do with a delivery, and why."
        ),
        "uninstall": Listed(
            "pulley.cli.uninstall", "Remove everything that Pulley made for a stage."
        ),
        "demo": Listed("pulley.cli.local", "Show a good push and a bad one on this machine."),
        "sandbox": Listed(
            "pulley.cli.local", "Run an emulated AWS account, GitHub and hosts on this machine."
        ),
        "document": Listed("pulley.cli.document", "Print the SSM document, as JSON."),
        "completion": Listed(
            "pulley.cli.completion", "Print the script with which a shell completes commands."
        ),
    },
)
