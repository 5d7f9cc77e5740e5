"""Lambda's part inside the app's process: takes an event, calls the function, answers.

One line of JSON each way: events on stdin, answers on a pipe of their own, because the app prints
its log. function.py starts it and talks to it. It runs in the app's folder.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

Handler = Callable[[object, object], object]


def main(name: str, answers: int) -> None:
    """Send the function's event pattern, then answer each event. `answers` is a file descriptor."""
    os.set_inheritable(answers, False)  # noqa: FBT003 - os has no such keyword
    with os.fdopen(os.dup(0)) as events, os.fdopen(answers, "w") as pipe:
        with open(os.devnull) as nothing:  # noqa: PTH123 - for its descriptor
            os.dup2(nothing.fileno(), 0)  # the app must not read our stdin
        app = importlib.import_module("app")
        print(json.dumps({"pattern": _pattern(app.app, name)}), file=pipe, flush=True)
        handler: Handler = getattr(app, name)
        for line in events:
            print(_answer(handler, json.loads(line)), file=pipe, flush=True)


def _answer(handler: Handler, event: object) -> str:
    try:
        return json.dumps({"returned": handler(event, None)})
    except Exception as error:  # noqa: BLE001 - Lambda would report any error
        traceback.print_exc()
        return json.dumps({"error": f"{type(error).__name__}: {error}"})


def _pattern(app: Any, name: str) -> dict[str, object]:  # noqa: ANN401 - a Chalice app
    """The pattern of `on_cw_event`; for a schedule, a pattern that matches every event.

    Raises LookupError if there is no such function.
    """
    for source in app.event_sources:
        if source.handler_string == f"app.{name}":
            pattern: dict[str, object] = getattr(source, "event_pattern", {})
            return pattern
    raise LookupError(f"app.py has no function {name} that EventBridge calls")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
