"""The stored document: its parameters, which admit nothing that is not plain, and its step."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulley.host.build import build
from pulley.host.document import PARAMETERS, build_document, document_text
from tests.fakes import COMMIT, GUID

SCRIPT = build()
MAX_DOCUMENT_BYTES = 64 * 1024
NASTY = "'\"$\\{}` \n\r\t\x00"
# What only GitHub's report and the command line read.
NOT_OF_THE_SCRIPT = {"Delivery", "Deployment", "Attempt", "By", "PushedAt", "Saved"}
# Of each parameter, a value that it takes.
GOOD = {
    "Target": "web",
    "Repository": "octo/site",
    "Checkout": "/srv/site",
    "Branch": "release/1.2",
    "Commit": COMMIT,
    "Update": "rebase",
    "AfterPull": "deploy/after-pull",
    "Restart": "site.service,worker@1.service",
    "HealthCheck": "http://127.0.0.1:8000/health?a=b",
    "Timeout": "600",
    "Issued": "1896091200000",
    "Cause": "push",
    "Delivery": GUID,
    "Deployment": "1234567",
    "Attempt": "3",
    "By": "mona",
    "PushedAt": "2030-01-01T08:00:07Z",
    "Saved": "fail",
}


def matches_as_the_agent_does(pattern: str, value: str) -> bool:
    """RE2, unanchored: there `$` is the end of the text alone, not of its last line."""
    assert pattern.endswith("$")
    return re.search(pattern[:-1] + r"\Z", value) is not None


class TestParameters:
    def test_there_are_the_promised_ones(self) -> None:
        assert list(PARAMETERS) == list(GOOD)

    @pytest.mark.parametrize("name", PARAMETERS)
    def test_ssm_takes_its_name_and_pattern_is_anchored_and_readable_by_re2(
        self, name: str
    ) -> None:
        assert re.fullmatch("[a-zA-Z0-9]+", name)
        pattern, _ = PARAMETERS[name]
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert "\\" not in pattern, "no escapes, and so no back-references"
        assert "(?" not in pattern, "no look-around"
        without_groups, groups = pattern, 1
        while groups:
            without_groups, groups = re.subn(r"\([^()]*\)", "", without_groups)
        assert "|" not in without_groups, "an alternative at the top would not be anchored"
        repeats = [int(most) for most in re.findall(r"\{\d+,(\d+)\}", pattern)]
        assert all(most <= 1000 for most in repeats), "RE2 counts to a thousand"

    @pytest.mark.parametrize(("name", "value"), GOOD.items())
    def test_good_value_is_taken_and_no_character_of_the_shell_s_or_the_agent_s_in_it(
        self, name: str, value: str
    ) -> None:
        pattern, _ = PARAMETERS[name]
        assert matches_as_the_agent_does(pattern, value)
        for character in NASTY:
            for place in range(len(value) + 1):
                nasty = value[:place] + character + value[place:]
                assert not matches_as_the_agent_does(pattern, nasty), nasty
            assert not matches_as_the_agent_does(pattern, character)

    @pytest.mark.parametrize("name", PARAMETERS)
    def test_reference_that_the_agent_would_resolve_is_never_taken(self, name: str) -> None:
        for value in ("{{ssm:/name}}", "{{ Target }}"):
            assert not matches_as_the_agent_does(PARAMETERS[name][0], value)

    def test_units_of_a_site_are_taken_and_those_that_would_stop_others_never(self) -> None:
        pattern, _ = PARAMETERS["Restart"]
        for units in ("site", "a.service,worker@a.b.service", "a.socket,b.timer,c.path", "_a:b-c"):
            assert matches_as_the_agent_does(pattern, units), units
        for units in (
            *("poweroff.target", "poweroff.target,debug-shell.service", "a.service.target"),
            *("debug-shell.service,poweroff.target", "srv.mount", "-.slice"),
            *("site.", "a,,b", "a,", "a,-x"),
        ):
            assert not matches_as_the_agent_does(pattern, units), units

    # The host ignores Delivery: no program ever gets it.
    @pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"Delivery"}))
    def test_option_is_never_taken(self, name: str) -> None:
        for value in ("-x", "--upload-pack=x"):
            assert not matches_as_the_agent_does(PARAMETERS[name][0], value)

    @given(st.sampled_from(list(PARAMETERS)), st.text(), st.data())
    def test_what_a_pattern_takes_is_always_plain(
        self, name: str, text: str, data: st.DataObject
    ) -> None:
        pattern, _ = PARAMETERS[name]
        good = data.draw(st.from_regex(pattern, fullmatch=True))
        for value in (good, text, good + text, text + good):
            if matches_as_the_agent_does(pattern, value):
                assert re.fullmatch(pattern, value)
                assert not set(value) & set(NASTY)
                assert value.isascii()
                assert value.isprintable()


class TestBuildDocument:
    DOCUMENT = build_document(SCRIPT)
    PARAMETERS: Mapping[str, Mapping[str, str]] = DOCUMENT["parameters"]  # type: ignore[assignment]

    def step(self) -> dict[str, object]:
        steps = self.DOCUMENT["mainSteps"]
        assert isinstance(steps, list)
        (step,) = steps
        assert isinstance(step, dict)
        return step

    def test_schema_is_2_2(self) -> None:
        assert self.DOCUMENT["schemaVersion"] == "2.2"
        assert set(self.DOCUMENT) == {"schemaVersion", "description", "parameters", "mainSteps"}

    def test_one_step_runs_the_script_on_linux_within_the_timeout(self) -> None:
        step = self.step()
        assert {key: step[key] for key in ("action", "name", "precondition")} == {
            "action": "aws:runShellScript",
            "name": "pull",
            "precondition": {"StringEquals": ["platformType", "Linux"]},
        }
        assert step["inputs"] == {"timeoutSeconds": "{{ Timeout }}", "runCommand": [SCRIPT]}

    def test_every_parameter_has_its_pattern_and_says_what_it_is(self) -> None:
        for name, (pattern, meaning) in PARAMETERS.items():
            described = self.PARAMETERS[name]
            assert described["type"] == "String"
            assert described["allowedPattern"] == pattern
            assert described.get("description", "") == meaning

    def test_what_the_script_reads_is_an_environment_variable_but_for_the_timeout(self) -> None:
        by_text = {
            name
            for name, described in self.PARAMETERS.items()
            if described.get("interpolationType") != "ENV_VAR"
        }
        in_script = {name for name in self.PARAMETERS if re.search(rf"{{{{ *{name} *}}}}", SCRIPT)}
        assert by_text == {"Timeout"} | (set(self.PARAMETERS) - in_script)
        assert set(self.PARAMETERS) - in_script == NOT_OF_THE_SCRIPT

    def test_only_what_says_which_checkout_has_no_default(self) -> None:
        without = {
            name for name, described in self.PARAMETERS.items() if "default" not in described
        }
        assert without == {"Target", "Repository", "Checkout", "Branch"}

    def test_every_default_is_taken_by_its_pattern(self) -> None:
        for described in self.PARAMETERS.values():
            default = described.get("default")
            if default is not None:
                assert matches_as_the_agent_does(described["allowedPattern"], default)

    def test_it_fits_into_what_ssm_takes(self) -> None:
        assert len(document_text(self.DOCUMENT).encode()) <= MAX_DOCUMENT_BYTES

    def test_script_has_no_well_formed_braces_but_the_parameters(self) -> None:
        found = set(re.findall(r"\{\{\s*([\w:./-]+)\s*\}\}", SCRIPT))
        assert found <= set(PARAMETERS)

    def test_script_uses_the_braces_only_where_the_variable_is_unset(self) -> None:
        listed, given = r"'(\w+)=\{\{ \1 \}\}'", r'eval "$name=\${SSM_$name-\$'
        safely = re.findall(listed, SCRIPT[: SCRIPT.index(given)])
        assert len(safely) == SCRIPT.count("{{") == SCRIPT.count("}}")
        assert set(safely) == set(PARAMETERS) - NOT_OF_THE_SCRIPT
