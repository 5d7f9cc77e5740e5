"""What exists is documented, and what is documented exists."""

import re
from pathlib import Path

import click
import pytest

from chalicelib.answers import STATUS_OF
from chalicelib.core.targets import TARGET_KEYS
from pulley.cli import group, main
from pulley.host.build import build
from pulley.reference import KEPT, OF_A_STAGE, new_page

PROJECT = Path(__file__).parents[2]
COMMANDS = set(main.list_commands(click.Context(main)))
SCRIPT = build(commented=True)


def read(path: str) -> str:
    return (PROJECT / path).read_text()


def first_cells(markdown: str) -> list[str]:
    """The first cell of each table row."""
    return re.findall(r"^\| ([^|]+?) \|", markdown, re.MULTILINE)


class TestPaths:
    def test_every_module_that_a_document_names_exists(self) -> None:
        named = {
            (page.name, path)
            for page in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"))
            for path in re.findall(r"`([a-z_/]+/[a-z_]+\.(?:py|sh))`", page.read_text())
        }
        missing = {(page, path) for page, path in named if not self.is_there(path)}
        assert len(named) > 10
        assert missing == set()

    def is_there(self, path: str) -> bool:
        """Documents leave out the first folder if the path is clear without it."""
        return any((PROJECT / place / path).exists() for place in (".", "chalicelib", "tests"))


class TestCli:
    """docs/cli.md is what `make docs` writes, and `make docs` keeps each hand-written part."""

    PAGE = read("docs/cli.md")
    BY_HAND = f"\n{KEPT}\n\nIt needs a ladder.\n"

    def test_page_has_the_help_of_every_command(self) -> None:
        assert new_page(self.PAGE) == self.PAGE, "run `make docs`"
        assert "\\b" not in self.PAGE

    @pytest.mark.parametrize(
        "pattern", [r"### `pulley plan .*?(?=### )", r"\| `--no-wait`.*?\n", "Deploy now, and "]
    )
    def test_missing_command_option_or_text_is_written(self, pattern: str) -> None:
        page = re.sub(pattern, "", self.PAGE, flags=re.DOTALL)
        assert page != self.PAGE
        assert new_page(page) == self.PAGE

    def test_section_of_an_unknown_command_is_removed(self) -> None:
        assert new_page(f"{self.PAGE}\n### `pulley fly`\n\nUp.\n") == self.PAGE

    def test_text_written_by_hand_is_kept(self) -> None:
        heading = "### `pulley document`\n"
        before, _, _ = self.PAGE.partition(heading)
        page = new_page(f"New. {before}{heading}{self.BY_HAND}")
        assert page.startswith("New. ")
        section = page.partition(heading)[2].partition("\n### ")[0]
        assert section.endswith(self.BY_HAND)
        assert "`aws ssm create-document` takes this JSON." in section

    def test_page_without_the_heading_for_the_commands_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no heading '## Commands'"):
            new_page("# A page\n")

    def test_text_written_by_hand_for_an_unknown_command_is_an_error(self) -> None:
        gone = f"\n### `pulley fly`\n\nUp.\n\n{KEPT}\n\nMind the roof.\n"
        with pytest.raises(ValueError, match="pulley fly"):
            new_page(self.PAGE + gone)

    def test_section_has_the_command_s_options_without_those_of_a_stage(self) -> None:
        section = self.PAGE.partition("### `pulley secret rotate`\n")[2].partition("\n### ")[0]
        told = set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))
        options = {"--repository", "--url", "--finish", "--drop-unproven", "--wait"}
        assert told == options | {"--dry-run", "--yes", "--json"}

    def test_every_option_of_a_stage_is_in_the_head_of_the_page(self) -> None:
        head = read("docs/cli.md").split("\n### ")[0]
        assert all(f"`{one}" in head for one in OF_A_STAGE)

    def test_every_exit_code_is_documented_and_the_reverse(self) -> None:
        section = read("docs/cli.md").split("## Exit codes")[1].split("\n## ")[0]
        documented = {int(cell) for cell in first_cells(section) if cell.isdecimal()}
        codes = {group.FAILED, group.NOT_WELL, group.NOT_CONFIRMED, group.INTERRUPTED}
        assert documented == {0, 2} | codes

    def test_every_exit_code_in_the_commands_has_a_name(self) -> None:
        for path in (PROJECT / "pulley/cli").glob("*.py"):
            assert not re.findall(r"(?:Exit|exit)\(\d", path.read_text()), path


class TestThreatModel:
    def test_every_test_that_it_names_exists(self) -> None:
        named = re.findall(r"`([a-z/_]+\.py): (test_\w+)`", read("docs/threat-model.md"))
        assert len(named) > 10
        for path, name in named:
            assert f"def {name}(" in read(f"tests/{path}"), (path, name)


class TestTargets:
    def test_every_key_is_in_the_reference(self) -> None:
        # The page's first section has the table of keys; another section has one of other tools.
        section = read("docs/targets.md").split("\n## ")[0]
        documented = {cell.strip("`") for cell in first_cells(section)}
        assert documented - {"key", "---"} == set(TARGET_KEYS)


class TestAnswers:
    def test_every_status_is_described(self) -> None:
        section = (
            read("docs/how-it-works.md").split("## What the webhook answers")[1].split("\n## ")[0]
        )
        documented = {part for cell in first_cells(section) for part in re.findall(r"\d{3}", cell)}
        assert documented == {"200", "202"} | {str(status) for status in STATUS_OF.values()}


class TestHost:
    def test_every_outcome_and_exit_code_is_documented(self) -> None:
        branches = re.findall(r"^        ([a-z_ |]+)\) exit_code=(\d+) ;;", SCRIPT, re.MULTILINE)
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
        coded = re.findall(r"^        ([a-z_ |]+)\) exit_code=", SCRIPT, re.MULTILINE)
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

    def test_every_link_between_documents_has_an_existing_file(self) -> None:
        for path in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]:
            for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text()):
                assert (path.parent / link).exists(), f"{path}: {link}"

    def test_every_link_to_a_heading_has_an_existing_heading(self) -> None:
        links = [
            (path, file, anchor)
            for path in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
            for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", path.read_text())
        ]
        assert len(links) > 10
        for path, file, anchor in links:
            page = (path.parent / file).read_text() if file else path.read_text()
            titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
            assert anchor in {anchor_of(title) for title in titles}, f"{path}: {file}#{anchor}"


def anchor_of(title: str) -> str:
    """How GitHub links to a heading."""
    return re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")


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
