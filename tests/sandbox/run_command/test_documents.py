"""A document as the agent reads it: what it takes for each parameter, and what it fills in."""

import json

import pytest

from pulley.sandbox.run_command.documents import Document, ParameterError, parse_document


def document_of(parameters: dict[str, dict[str, object]], script: object = "true") -> Document:
    step = {"action": "aws:runShellScript", "name": "step", "inputs": {"runCommand": script}}
    content = {"schemaVersion": "2.2", "parameters": parameters, "mainSteps": [step]}
    return parse_document(json.dumps(content), name="test", version="1")


def script_of(script: object, **given: str) -> str:
    document = document_of({name: {"type": "String"} for name in given}, script)
    values = {name: (value,) for name, value in given.items()}
    return document.steps[0].script(document.texts(document.receive(values)))


class TestReceive:
    def test_missing_one_with_a_pattern_and_no_default_is_refused(self) -> None:
        document = document_of({"Word": {"type": "String", "allowedPattern": "^[a-z]*$"}})
        with pytest.raises(ParameterError, match="Word is missing"):
            document.receive({})

    def test_missing_one_without_a_pattern_is_null(self) -> None:
        assert document_of({"Word": {"type": "String"}}).receive({}) == {"Word": ("null",)}

    def test_default_stands_in_and_is_checked(self) -> None:
        word: dict[str, object] = {"type": "String", "allowedPattern": "^[a-z]+$", "default": "a"}
        assert document_of({"Word": word}).receive({}) == {"Word": ("a",)}
        with pytest.raises(ParameterError, match="Word does not match"):
            document_of({"Word": word | {"default": "A"}}).receive({})

    def test_pattern_is_all_that_the_agent_looks_at(self) -> None:
        word: dict[str, object] = {"type": "String", "allowedValues": ["a"]}
        document = document_of({"Word": word})
        assert document.receive({"Word": ("b",), "More": ("c",)}) == {"Word": ("b",)}
        with pytest.raises(ParameterError, match="not one of its allowed values"):
            document.check({"Word": ("b",)})


class TestScript:
    @pytest.mark.parametrize(
        ("value", "filled_in"),
        [
            ("a$$b", "echo a$b"),
            ("$HOME/x", "echo /x"),
            ("${HOME}x", "echo x"),
            ("$(id)", "echo $(id)"),
            ("5$", "echo 5$"),
            (r"\\1", r"echo \\1"),
        ],
    )
    def test_dollar_in_a_value_is_go_s(self, value: str, filled_in: str) -> None:
        assert script_of("echo {{ Word }}", Word=value) == f"{filled_in}\n"

    def test_value_that_is_the_whole_line_stays_as_it_is(self) -> None:
        assert script_of(["{{ Word }}", "echo"], Word="echo $$") == "echo $$\necho\n"

    @pytest.mark.parametrize("script", ["a\nb {{ Word }}", ["a", "b {{ Word }}"]])
    def test_lines_and_one_string_are_the_same(self, script: object) -> None:
        assert script_of(script, Word="c") == "a\nb c\n"
