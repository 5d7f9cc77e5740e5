"""`chalice local`, but for the sandbox's own user only: `serve PORT STAGE` in the app's folder.

It is Chalice's own server with the parts that keep other users and web pages out.
"""

import logging
import os
import sys
from pathlib import Path

from chalice.cli.factory import CLIFactory
from chalice.deploy.validate import validate_routes
from chalice.local import ChaliceRequestHandler, LocalDevServer, ThreadedHTTPServer

from pulley.sandbox.private.server import OwnConnections, OwnRequests


class _Handler(OwnRequests, ChaliceRequestHandler):
    """Chalice's handler, for no web page but the app's own."""


class _Server(OwnConnections, ThreadedHTTPServer):
    """Chalice's server, for our own connections."""

    # So many pushes may come at once, as at Werkzeug's servers. With Chalice's five, the kernel
    # lets the others wait for a second, and closes some.
    request_queue_size = 128


def main(port: int, stage: str) -> None:
    """Serve until the process is killed."""
    # As `chalice local` does: what the app logs goes to stdout.
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    config = CLIFactory(str(Path.cwd()), environ=os.environ).create_config_obj(
        chalice_stage_name=stage
    )
    app = config.chalice_app
    validate_routes(app.routes)
    LocalDevServer(app, config, "127.0.0.1", port, _Handler, _Server).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
