"""The document by itself, for whoever deploys it by other means."""

import json

import click

from chalicelib.core.commands import build_document
from pulley.operator.checkout import SCRIPT


@click.command()
def document() -> None:
    """Print the SSM document, as JSON for `aws ssm create-document`."""
    click.echo(json.dumps(build_document(SCRIPT.read_text())))
