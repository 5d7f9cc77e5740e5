"""`make docs`: writes the commands of docs/cli.md from their own help.

Two parts of the page are written by hand, and kept: everything before the commands, and what
follows the line KEPT in a command's section.
"""

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent, fill

import click

from pulley.cli import main
from pulley.operator.people.grants import needs_of

PAGE = Path(__file__).parents[1] / "docs/cli.md"
COMMANDS = "\n## Commands\n"
KEPT = "<!-- by hand -->"
WIDTH = 125
OF_A_STAGE = frozenset({"--stage", "--profile", "--region"})  # told once, before the commands


def new_page(page: str) -> str:
    """The page with the commands as they are now.

    Raises ValueError if the page has no place for them, or a part by hand belongs to no command.
    """
    head, place, sections = page.partition(COMMANDS)
    if not place:
        raise ValueError(f"no heading {COMMANDS.strip()!r}")
    kept, commands = dict(_kept_parts(sections)), dict(_commands(main))
    if lost := sorted(name for name in kept.keys() - commands.keys() if kept[name]):
        raise ValueError(f"no command for what is written by hand: {', '.join(lost)}")
    written = [_section(name, command, kept) for name, command in commands.items()]
    return head + place + "".join(written)


def _kept_parts(sections: str) -> Iterator[tuple[str, str]]:
    """The first line of each section, without arguments, and the part that is written by hand."""
    for section in re.split(r"^### ", sections, flags=re.MULTILINE)[1:]:
        generated, _, by_hand = section.partition(f"\n{KEPT}\n")
        words = generated.partition("\n")[0].strip("`").split()
        name = " ".join(word for word in words if re.fullmatch("[a-z-]+", word))
        yield name, by_hand.strip()


def _commands(group: click.Group, above: str = "pulley") -> Iterator[tuple[str, click.Command]]:
    """Every command that is no group, by its full name, in the order of the help."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{above} {name}")
        elif command:
            yield f"{above} {name}", command


def _section(name: str, command: click.Command, kept: dict[str, str]) -> str:
    arguments = [_usage(one) for one in command.params if isinstance(one, click.Argument)]
    parts = [f"### `{' '.join([name, *arguments])}`", *_paragraphs(command), _options(command)]
    parts.append(_actions(name.removeprefix("pulley ")))
    if by_hand := kept.get(name):
        parts.append(f"{KEPT}\n\n{by_hand}")
    return "".join(f"\n{part}\n" for part in parts if part)


def _usage(argument: click.Argument) -> str:
    """An argument as the heading shows it."""
    word = str(argument.name).upper()
    return argument.metavar or (word if argument.required else f"[{word}]")


def _paragraphs(command: click.Command) -> Iterator[str]:
    """The help. Lines that click must not wrap become a block of code."""
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        mark, _, lines = paragraph.partition("\n")
        if mark == "\b":
            yield f"```\n{dedent(lines)}\n```"
        else:
            yield _as_markdown(paragraph)


def _options(command: click.Command) -> str:
    """The table of options; "" without any."""
    rows = []
    for option in command.params:
        if isinstance(option, click.Option) and not OF_A_STAGE & set(option.opts):
            record = option.get_help_record(click.Context(command))
            names, words = (_as_markdown(" ".join(cell.split())) for cell in record or ("", ""))
            names = names.replace("|", r"\|")  # a pipe would end the cell, in code too
            rows.append(f"| `{names}` | {words.removesuffix('.')} |")
    return "\n".join(["| option | for |", "| --- | --- |", *rows]) if rows else ""


def _actions(name: str) -> str:
    """The actions of AWS that a command needs, and what its options need besides; "" if none."""
    needs = needs_of(name)
    known: set[str] = set()
    lines = []
    for one, need in needs.items():
        more = [f"`{action}`" for action in need.actions if action not in known]
        which = f"`pulley-STAGE-{need.level}`" if need.level else "none of the policies for people"
        what = "Needs" if one == name else f"With `{one.removeprefix(name).strip()}` also"
        if more:
            lines.append(
                fill(f"{what} ({which}): {', '.join(more)}.", WIDTH, break_on_hyphens=False)
            )
        known.update(need.actions)
    return "\n\n".join(lines)


def _as_markdown(text: str) -> str:
    """Documents become links. A lone dash (stdin) would begin a list at the beginning of a line."""
    text = re.sub(r"\bdocs/([\w-]+\.md)", r"[\1](\1)", text)
    return re.sub(r"(^|\s)- ", r"\1`-` ", text)


if __name__ == "__main__":
    PAGE.write_text(new_page(PAGE.read_text()))
