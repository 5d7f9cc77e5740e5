"""The upstream's post-receive hook: `post_receive URL KEY_FILE OWNER/REPO`, run as a module.

It hands the pushed refs on stdin to the sandbox's GitHub, which delivers them, and prints what
each webhook answered, which git shows to the pusher. It imports little: the pusher waits for it.
"""

import json
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def main(url: str, key_file: str, full_name: str) -> None:
    """Tell of all lines that git gives its post-receive hook."""
    # At one space each: a ref may have what Unicode calls one.
    pushes = [line.removesuffix("\n").split(" ", 2) for line in sys.stdin]
    told = {"full_name": full_name, "pushes": pushes}
    key = Path(key_file).read_text()
    request = urllib.request.Request(  # noqa: S310 - a loopback address
        url, json.dumps(told).encode(), {"Authorization": key, "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        for one in json.load(answer):
            print(describe(one))


def describe(told: Mapping[str, object]) -> str:
    """One line of what a webhook answered; Pulley is whoever's address ends in `/github`."""
    url = str(told["url"])
    who = "Pulley" if url.endswith("/github") else url
    if not told["code"]:
        return f"{who} did not answer: {told['status']}"
    answer = str(told["response"])
    with suppress(ValueError):
        answer = json.dumps(json.loads(answer))
    return f"{who} answered {told['code']}: {answer}"


if __name__ == "__main__":
    main(*sys.argv[1:])
