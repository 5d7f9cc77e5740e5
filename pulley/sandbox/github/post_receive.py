"""The upstream's post-receive hook: `post_receive URL KEY_FILE OWNER/REPO`, run as a module.

It passes the pushed refs on stdin to the sandbox's GitHub, which delivers them. It prints the
answer of each webhook, which git shows to the pusher. It imports little, because the pusher waits.
"""

import json
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def main(url: str, key_file: str, full_name: str) -> None:
    """Pass on all lines that git gives its post-receive hook."""
    # Split at the space only: a ref may contain other Unicode spaces.
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
    """A webhook's answer in one line. A webhook whose address ends in `/github` is Pulley's."""
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
