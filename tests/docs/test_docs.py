"""What exists is documented, and what is documented exists."""

import re
from inspect import cleandoc
from pathlib import Path

import click

from chalicelib.answers import STATUS_OF
from chalicelib.core.targets import _TARGET_KEYS
from pulley.cli import group, main
from pulley.host.build import build

PROJECT = Path(__file__).parents[2]
COMMANDS = set(main.list_commands(click.Context(main)))
SCRIPT = build(commented=True)


def read(path: str) -> str:
    return (PROJECT / path).read_text()


def first_cells(markdown: str) -> list[str]:
    """The first cell of each table row."""
    return re.findall(r"^\| ([^|]+?) \|", markdown, re.MULTILINE)


class TestPaths:
    def test_every_module_that_a_document_names_is_there(self) -> None:
        named = {
            (page.name, path)
            for page in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"))
            for path in re.findall(r"`([a-z_/]+/[a-z_]+\.(?:py|sh))`", page.read_text())
        }
        missing = {(page, path) for page, path in named if not self.is_there(path)}
        assert len(named) > 10
        assert missing == set()

    def is_there(self, path: str) -> bool:
        """Documents leave out the first folder where it is plain which is meant."""
        return any((PROJECT / place / path).exists() for place in (".", "chalicelib", "tests"))


def plain_words(text: str) -> str:
    """What a document or a help says, without marks: a link as its words, or as its file."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(re.sub(r"[`*]|docs/", "", text).split())


class TestCli:
    """docs/cli.md has a section for each command, and in it each option."""

    OF_A_STAGE = frozenset({"--stage", "--profile", "--region"})

    def sections(self) -> dict[str, str]:
        parts = re.split(
            r"^### `pulley ([a-z -]+?)(?: [A-Z\[].*)?`$", read("docs/cli.md"), flags=re.MULTILINE
        )
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    def commands(self) -> dict[str, click.Command]:
        def below(name: str, command: click.Command) -> dict[str, click.Command]:
            if not isinstance(command, click.Group):
                return {name: command}
            context = click.Context(command)
            found: dict[str, click.Command] = {}
            for part in command.list_commands(context):
                inner = command.get_command(context, part)
                assert inner is not None
                found |= below(f"{name} {part}".strip(), inner)
            return found

        return below("", main)

    def test_every_command_has_a_section_and_the_reverse(self) -> None:
        assert set(self.sections()) == set(self.commands())

    def test_every_option_is_in_its_command_s_section_and_the_reverse(self) -> None:
        sections = self.sections()
        for name, command in self.commands().items():
            options = {
                one
                for parameter in command.params
                if isinstance(parameter, click.Option)
                for one in [*parameter.opts, *parameter.secondary_opts]
                if one.startswith("--")
            }
            told = set(re.findall(r"^\| `(--[a-z-]+)", sections[name], re.MULTILINE))
            assert told == options - self.OF_A_STAGE, name

    def test_every_sentence_of_a_command_s_help_is_in_its_section(self) -> None:
        sections, missing = self.sections(), []
        for name, command in self.commands().items():
            section = plain_words(sections[name])
            for paragraph in cleandoc(command.help or "").split("\n\n"):
                if "\b" not in paragraph and not paragraph.startswith("Example"):
                    sentences = re.split(r"(?<=[.:]) ", plain_words(paragraph))
                    missing += [(name, one) for one in sentences if one not in section]
                assert "\\b" not in paragraph, name
        assert missing == []

    def test_every_option_of_a_stage_is_told_once(self) -> None:
        head = read("docs/cli.md").split("\n### ")[0]
        assert all(f"`{one}" in head for one in self.OF_A_STAGE)

    def test_every_exit_code_is_documented_and_the_reverse(self) -> None:
        section = read("docs/cli.md").split("## Exit codes")[1].split("\n## ")[0]
        documented = {int(cell) for cell in first_cells(section) if cell.isdecimal()}
        codes = {group.FAILED, group.NOT_WELL, group.NOT_CONFIRMED, group.INTERRUPTED}
        assert documented == {0, 2} | codes

    def test_every_exit_code_that_a_command_ends_with_has_a_name(self) -> None:
        for path in (PROJECT / "pulley/cli").glob("*.py"):
            assert not re.findall(r"(?:Exit|exit)\(\d", path.read_text()), path


class TestThreatModel:
    def test_every_test_that_it_names_is_there(self) -> None:
        named = re.findall(r"`([a-z/_]+\.py): (test_\w+)`", read("docs/threat-model.md"))
        assert len(named) > 10
        for path, name in named:
            assert f"def {name}(" in read(f"tests/{path}"), (path, name)


class TestTargets:
    def test_every_key_is_in_the_reference(self) -> None:
        documented = {cell.strip("`") for cell in first_cells(read("docs/targets.md"))}
        assert documented - {"key", "---"} == set(_TARGET_KEYS)


class TestAnswers:
    def test_every_status_is_in_the_readme(self) -> None:
        section = read("README.md").split("## What the webhook answers")[1].split("\n## ")[0]
        documented = {part for cell in first_cells(section) for part in re.findall(r"\d{3}", cell)}
        assert documented == {"200", "202"} | {str(status) for status in STATUS_OF.values()}


class TestHost:
    def test_every_outcome_and_exit_code_is_documented(self) -> None:
        branches = re.findall(r"^        ([a-z_ |]+)\) code=(\d+) ;;", SCRIPT, re.MULTILINE)
        codes = {outcome: code for outcomes, code in branches for outcome in outcomes.split(" | ")}
        assert len(codes) == 11
        rows = re.findall(r"^\| (\d+) \| (.+?) \|", read("docs/host.md"), re.MULTILINE)
        documented = {
            outcome: code
            for code, outcomes in rows
            for outcome in re.findall("`([a-z_]+)`", outcomes)
        }
        assert documented == codes

    def test_every_outcome_that_the_script_ends_with_has_a_code(self) -> None:
        ended_with = set(re.findall(r"\bfinish ([a-z_]+)", SCRIPT))
        coded = re.findall(r"^        ([a-z_ |]+)\) code=", SCRIPT, re.MULTILINE)
        assert ended_with <= {outcome for outcomes in coded for outcome in outcomes.split(" | ")}


class TestCommands:
    def test_every_command_named_in_a_document_exists(self) -> None:
        paths = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
        for path in paths:
            # In code only: "pulley" is also a tag and a stage's prefix.
            named = re.findall(r"(?:^|[`/ ])pulley ([a-z]+)[` \n]", "\n".join(code_in(path)))
            assert set(named) <= COMMANDS, path

    def test_every_make_target_named_in_a_document_exists(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
        for path in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]:
            assert set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(code_in(path)))) <= targets, path

    def test_every_link_between_documents_leads_somewhere(self) -> None:
        for path in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]:
            for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text()):
                assert (path.parent / link).exists(), f"{path}: {link}"


def code_in(path: Path) -> list[str]:
    """Code blocks and code spans."""
    text = path.read_text()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return blocks + re.findall(r"`([^`\n]+)`", text)


class TestOperating:
    OPERATING = "docs/operating.md"

    def test_every_setting_of_a_stage_is_documented_and_the_reverse(self) -> None:
        code = "".join(path.read_text() for path in lambda_code())
        used = set(re.findall(r'"(PULLEY_[A-Z0-9_]+)"', code)) - {"PULLEY_STAGE"}
        section = read(self.OPERATING).split("## Settings of a stage")[1]
        assert {cell.strip("`") for cell in first_cells(section)} - {"variable", "---"} == used

    def test_every_metric_is_documented_and_the_reverse(self) -> None:
        code = "".join(path.read_text() for path in lambda_code())
        counted = set(
            re.findall(r'count\("(\w+)"\)|"([A-Z]\w+)": \([^\n]+, COUNT\)|metrics\["(\w+)"\]', code)
        )
        names = {name for names in counted for name in names if name}
        section = read(self.OPERATING).split("## Metrics")[1].split("\n## ")[0]
        cells = " ".join(first_cells(section))
        assert set(re.findall("`([A-Z]\\w+)`", cells)) == names

    def test_every_state_is_documented(self) -> None:
        section = read(self.OPERATING).split("## On the commit")[1].split("\n## ")[0]
        states = {"in_progress", "success", "failure", "error", "inactive"}
        assert {cell.strip("`") for cell in first_cells(section)} - {"state", "---"} == states

    def test_every_kind_of_line_in_the_log_is_documented(self) -> None:
        section = read(self.OPERATING).split("## The log")[1].split("\n## ")[0]
        rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE)
        documented = {
            (about, outcome) for about, cell in rows for outcome in re.findall("`(\\w+)`", cell)
        }
        abouts = {about for about, _ in documented}
        for path in lambda_code():
            for about, outcome in re.findall(r'Decision\(\s*"(\w+)",\s*"(\w+)"', path.read_text()):
                assert (about, outcome) in documented, path
            assert set(re.findall(r'Decision\(\s*"(\w+)"', path.read_text())) <= abouts, path


def lambda_code() -> list[Path]:
    return [PROJECT / "app.py", *(PROJECT / "chalicelib").rglob("*.py")]
