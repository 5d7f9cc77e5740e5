"""`pulley completion`: print the script with which a shell completes commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands.

    SHELL is bash (4.4 or newer), zsh or fish.

    \b
    bash, in ~/.bashrc:  eval "$(pulley completion bash)"
    zsh, in ~/.zshrc:    eval "$(pulley completion zsh)"
    fish:                pulley completion fish > ~/.config/fish/completions/pulley.fish
    """  # noqa: D301 - click's mark against rewrapping
    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError("click knows each shell that the argument takes")
    root = ctx.find_root()
    click.echo(kind(root.command, {}, "pulley", "_PULLEY_COMPLETE").source())
