"""Whoever may push runs `after_pull` on the hosts. Names and texts must run nothing."""

from pathlib import Path

import pytest

from pulley.sandbox.sandbox import Sandbox
from tests.injection.hostile import CANARY, DANGEROUS, HARMLESS, TOUCH, WORD
from tests.injection.house import (
    check_descriptions,
    check_results,
    commit_in,
    count_commands,
    good_payload,
    post,
    push,
    store,
)

# Names that git accepts for a file, and folders if they contain a slash.
FILES = [text for text in DANGEROUS.values() if "\0" not in text] + [
    "--help", "-rf", "*", "~", " ", "a\tb", "\\", "HEAD", ":(glob)**", ":!x", "\xff",
    "con.txt\u202e",
]  # fmt: skip
# Names that git accepts for a branch.
BRANCHES = [
    f"$(touch${{IFS}}{CANARY})", f"`{WORD}`", f";{WORD};", f"|{WORD}", f"&{WORD}&", f"';{WORD};'",
    f'";{WORD};"', f"$({WORD})", f"--upload-pack={WORD}", f"-oProxyCommand={WORD}", "{{Commit}}",
    "${SSM_Commit}", "\u202etxt.exe\u2066", "\u2028x", "%s%n", "<b>", "A" * 200,
]  # fmt: skip

# Names that a host reports when it has a conflict.
REPORTED = {
    f"$({WORD}) `{WORD}` ;{WORD};": "shell",
    f"'\"\n{WORD}\n\x1b[2J\x1b]0;title\x07\u202etxt.exe\u2066\u2028": "characters",
}
AT_TIP = ("updated", "unchanged")


class TestRepository:
    """Whoever may push runs `after_pull` on the hosts. Names and texts must run nothing."""

    def test_hostile_file_names_message_and_author_run_nothing(self, sandbox: Sandbox) -> None:
        identity = [f"$({TOUCH}) `{TOUCH}` ';{WORD};' \u202e", f"a@$({WORD})"]
        message = "\n".join(text for text in DANGEROUS.values() if "\0" not in text)
        commit = commit_in(sandbox, dict.fromkeys(FILES, "x\n"), message, identity)
        (answer,) = push(sandbox, "HEAD:main")
        assert {one.after for one in check_results(sandbox, answer.command_ids[0], "updated")} == {
            commit
        }
        check_descriptions(sandbox, commit)

    @pytest.mark.parametrize("name", REPORTED, ids=REPORTED.values())
    def test_conflict_in_a_file_with_a_hostile_name_is_reported_in_clean_text(
        self, sandbox: Sandbox, name: str
    ) -> None:
        machine = sandbox.machines[0]
        commit_in(sandbox, {name: "both\n"}, "Both")
        (answer,) = push(sandbox, "HEAD:main")
        check_results(sandbox, answer.command_ids[0], "updated")
        machine.commit(name, "mine\n", "Mine")
        mine = machine.head()
        commit = commit_in(sandbox, {name: "theirs\n"}, "Theirs")
        (answer,) = push(sandbox, "HEAD:main")
        results = check_results(sandbox, answer.command_ids[0], "updated", "conflict")
        (detail,) = (one.detail for one in results if one.outcome == "conflict")
        assert detail.startswith("conflict in ")
        assert machine.head() == mine
        check_descriptions(sandbox, commit)
        machine.git("reset", "-q", "--hard", "origin/main")

    def test_untracked_file_with_a_hostile_name_is_reported_in_clean_text(
        self, sandbox: Sandbox
    ) -> None:
        machine, names = sandbox.machines[0], [f"way-{name}" for name in REPORTED]
        for name in names:
            machine.write(name, "mine\n")
        commit = commit_in(sandbox, dict.fromkeys(names, "theirs\n"), "In the way")
        (answer,) = push(sandbox, "HEAD:main")
        results = check_results(sandbox, answer.command_ids[0], "updated", "conflict")
        (detail,) = (one.detail for one in results if one.outcome == "conflict")
        assert "untracked" in detail
        check_descriptions(sandbox, commit)
        for name in names:
            (machine.checkout / name).unlink()
        check_results(sandbox, post(sandbox, good_payload(sandbox)).command_ids[0], *AT_TIP)

    def test_hostile_output_of_a_step_is_reported_in_clean_text(self, sandbox: Sandbox) -> None:
        words = [text for text in DANGEROUS.values() if str(CANARY) not in text]
        said = "".join(words).encode() + b'\xff\x9b2J\\"\',"v":2}'
        octal = "".join(f"\\{byte:03o}" for byte in said)
        good = (Path(sandbox.developer.working_dir) / "deploy/after-pull").read_text()
        bad = f"#!/bin/sh\nprintf '{octal}'\nprintf '{octal}' >&2\nexit 1\n"
        commit = commit_in(sandbox, {"deploy/after-pull": bad}, "Bad")
        (answer,) = push(sandbox, "HEAD:main")
        results = check_results(sandbox, answer.command_ids[0], "rolled_back")
        assert {one.step for one in results} == {"after_pull"}
        check_descriptions(sandbox, commit)
        commit_in(sandbox, {"deploy/after-pull": good}, "Good")
        (answer,) = push(sandbox, "HEAD:main")
        check_results(sandbox, answer.command_ids[0], "updated")

    def test_hostile_branches_and_tags_deploy_nothing(self, sandbox: Sandbox) -> None:
        before = count_commands(sandbox)
        refs = [f"refs/heads/{name}" for name in BRANCHES] + [f"refs/tags/{BRANCHES[0]}"]
        made = push(sandbox, *(f"HEAD:{ref}" for ref in refs))
        assert [answer.status for answer in made] == [200] * len(refs)
        assert count_commands(sandbox) == before
        check_results(sandbox, post(sandbox, good_payload(sandbox)).command_ids[0], *AT_TIP)
        gone = push(sandbox, *(f":{ref}" for ref in refs))
        assert [answer.status for answer in gone] == [200] * len(refs)
        for answer in made + gone:
            assert HARMLESS.fullmatch(answer.text), answer

    def test_branch_named_like_an_option_is_deployed_as_a_branch(self, sandbox: Sandbox) -> None:
        branch = f"x/--upload-pack={WORD},#%@+"
        store(sandbox, [{**sandbox.target, "branch": branch}])
        (answer,) = push(sandbox, f"HEAD:refs/heads/{branch}")
        check_results(sandbox, answer.command_ids[0], *AT_TIP)
        for machine in sandbox.machines:
            assert machine.git("symbolic-ref", "--short", "HEAD") == branch
        store(sandbox, [sandbox.target])
        check_results(sandbox, post(sandbox, good_payload(sandbox)).command_ids[0], *AT_TIP)
