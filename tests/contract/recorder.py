"""A pytest plugin that writes down what Pulley asks AWS and GitHub, and what GitHub answers.

GitHub is the sandbox's. The plugin runs with the ordinary tests (`make contract`), changes nothing
in them, and judges nothing: `test_aws.py` and `test_github.py` do that afterwards. Each process
writes its own files into the folder that PULLEY_RECORDINGS names.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.handlers import BUILTIN_HANDLERS
from werkzeug.wrappers import Request, Response

from pulley.sandbox.github.server import GitHubServer

PROJECT = Path(__file__).parents[2]
_OURS = tuple(str(PROJECT / folder) + os.sep for folder in ("chalicelib", "pulley"))
_PROJECT = str(PROJECT) + os.sep
_LIBRARIES = f"{os.sep}site-packages{os.sep}"


class Recorder:
    """Appends each different record to a file, one line of JSON each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def keep(self, kind: str, record: Mapping[str, object]) -> None:
        line = json.dumps(record, sort_keys=True, default=_text_of)
        with self._lock:
            if line in self._seen:
                return
            self._seen.add(line)
            with (self._folder / f"{kind}-{os.getpid()}.jsonl").open("a") as file:
                file.write(f"{line}\n")

    def keep_call(self, params: Mapping[str, Any], model: Any, **_event: object) -> None:  # noqa: ANN401 - botocore's
        """A handler of botocore's `before-parameter-build`."""
        caller = _caller()
        if caller is not None:
            service = model.service_model.service_name
            call = {"service": service, "operation": model.name, "arguments": params}
            self.keep("aws", {**call, "caller": caller})

    def keep_exchange(self, http: Request, response: Response) -> None:
        request = {
            "method": http.method,
            "target": http.environ["REQUEST_URI"],  # as sent: %2F is not yet a slash
            "body": http.get_data(as_text=True),
            "agent": http.headers.get("User-Agent", ""),
        }
        answer = {"status": response.status_code, "content": response.get_data(as_text=True)}
        self.keep("github", {**request, **answer})


def _text_of(value: object) -> object:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _caller() -> str | None:
    """The file of Pulley's that makes the call; None if a test makes it."""
    frame = sys._getframe(1)
    while frame := frame.f_back:  # type: ignore[assignment]
        file = frame.f_code.co_filename
        if file.startswith(_PROJECT) and _LIBRARIES not in file and file != __file__:
            return str(Path(file).relative_to(PROJECT)) if file.startswith(_OURS) else None
    return None


def pytest_configure(config: pytest.Config) -> None:
    """Begin to record."""
    recorder = Recorder(Path(os.environ["PULLEY_RECORDINGS"]))
    # Each session of botocore has these handlers from its start.
    BUILTIN_HANDLERS.append(("before-parameter-build", recorder.keep_call))
    answer = GitHubServer._answer

    def recorded(self: GitHubServer, http: Request) -> Response:
        response = answer(self, http)
        recorder.keep_exchange(http, response)
        return response

    GitHubServer._answer = recorded  # type: ignore[method-assign]
