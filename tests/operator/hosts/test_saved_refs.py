"""The refs that a host lists in its result line."""

import json

import pytest

from chalicelib.core.results import ResultError
from pulley.operator.hosts.saved_refs import SavedRef, SavedRefs, parse_saved_refs
from tests.fakes import COMMIT

SAVED = ("20261120T231213Z-802-1", COMMIT, 2, "app.ini")


def told(**more: object) -> SavedRefs:
    return parse_saved_refs(f"{json.dumps(more)}\n\n----------ERROR-------\nfetching")


class TestParseSavedRefs:
    def test_refs_are_read_with_their_total_count(self) -> None:
        assert told(saved_refs=[SAVED], saved_count=7) == SavedRefs(7, (SavedRef(*SAVED),))

    def test_line_without_refs_gives_an_empty_list(self) -> None:
        assert told() == SavedRefs(0, ())

    def test_ref_may_have_an_empty_name(self) -> None:
        (ref,) = told(saved_refs=[["", *SAVED[1:]]], saved_count=1).refs
        assert ref == SavedRef("", *SAVED[1:])

    @pytest.mark.parametrize(
        "more",
        [
            {"saved_refs": []},
            {"saved_refs": [], "saved_count": "7"},
            {"saved_refs": {}, "saved_count": 7},
            {"saved_refs": [7], "saved_count": 7},
            {"saved_refs": [SAVED[:3]], "saved_count": 7},
            {"saved_refs": [[*SAVED, 1]], "saved_count": 7},
            {"saved_refs": [[*SAVED[:2], "1", "app.ini"]], "saved_count": 7},
            {"saved_refs": [["$(reboot)", *SAVED[1:]]], "saved_count": 7},
            {"saved_refs": [["x" * 31, *SAVED[1:]]], "saved_count": 7},
            {"saved_refs": [[SAVED[0], "; reboot", 1, ""]], "saved_count": 7},
        ],
    )
    def test_malformed_list_is_an_error(self, more: dict[str, object]) -> None:
        with pytest.raises(ResultError):
            told(**more)
