"""`pulley document`: print the SSM document, for those who deploy it by other means."""

import click

from pulley.cli.options import stage_option
from pulley.host.build import build
from pulley.host.document import build_document, document_text
from pulley.operator.stage.cloudformation import build_resources
from pulley.operator.stage.settings import read_stage_settings
from pulley.project import project


@click.command()
@click.option(
    "--cloudformation",
    is_flag=True,
    help="Print the template for chalice package --merge-template.",
)
@stage_option("stage", "The Chalice stage, with --cloudformation.")
def document(stage: str, *, cloudformation: bool) -> None:
    """Print the SSM document, as JSON.

    `aws ssm create-document` takes this JSON. With --cloudformation, the command prints a part of a
    stage's template: the document, and all else that Chalice does not make. See docs/deploying.md.
    """
    content = build_document(build())
    if cloudformation:
        content = build_resources(read_stage_settings(project(), stage), content)
    click.echo(document_text(content))
