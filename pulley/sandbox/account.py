"""One AWS account on loopback, which plain boto3 reaches through `AWS_ENDPOINT_URL`.

moto answers for everything that it emulates well: Parameter Store, documents, EC2's instances.
moto only pretends to do Run Command, completes each launch of Auto Scaling at once, and calls each
target of a load balancer healthy. So this package answers for these, and for Invoke of a function
that runs here. moto's state belongs to the whole Python process, so an Account clears it when it
starts, and there may be one at a time; further ones may only be other Regions of it.

Who calls it can run commands as us. So each call must be signed with the account's own random key.
"""

import json
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.client import BaseClient
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.wrappers import Request, Response

from pulley.sandbox.auto_scaling.service import AutoScaling
from pulley.sandbox.event_bus import EventBus, Pattern, Subscriber
from pulley.sandbox.invoke import Invocations, Invoked
from pulley.sandbox.load_balancing.service import LoadBalancing
from pulley.sandbox.models import keep_models
from pulley.sandbox.private.server import LoopbackServer
from pulley.sandbox.private.signature import new_access_key, only_signed
from pulley.sandbox.query import LOAD_BALANCING, read_query
from pulley.sandbox.quiet import QuietHandler
from pulley.sandbox.run_command import history
from pulley.sandbox.run_command.agent import AGENT_VERSION, EmulatedHost
from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.run_command.dispatcher import Dispatcher
from pulley.sandbox.run_command.events import SOURCE, StatusEvents
from pulley.sandbox.run_command.inventory import Inventory
from pulley.sandbox.run_command.send_request import ApiError, check_input
from pulley.sandbox.run_command.throttle import Throttle, refuse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

_LOG = logging.getLogger(__name__)
_TARGET_PREFIX = "AmazonSSM."
_OF_COMMANDS: Pattern = {"source": [SOURCE]}
_IMAGE = "ami-00000000"  # moto accepts any image
_SHUTDOWN_SECONDS = 0.01  # how long the server may take to notice that it should stop


class Account:
    """An endpoint, clients for it, and hosts. A context manager: `close` ends all processes."""

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        *,
        port: int = 0,
        region: str = "eu-west-1",
        delivery_second: float = 1.0,
        execution_second: float = 1.0,
        hook_second: float = 1.0,
        balancing_second: float = 1.0,
        is_second_region: bool = False,
    ) -> None:
        """Serve on 127.0.0.1, on any free port by default. Raises OSError for a port in use.

        AWS allows no delivery time-out and no time-out of a lifecycle hook below 30 s, and no limit
        of a step and no interval between health checks below 5 s. These arguments say how long one
        of these seconds takes here: with 0.01 the shortest delivery takes 0.3 s. The seconds of a
        deregistration delay are those of `balancing_second`, too. The second Region of an account
        that is open already keeps moto's state.
        """
        self._key = new_access_key()
        answer = only_signed(self._answer, self._key)
        self._server = LoopbackServer(port, answer, _QuietMotoHandler)
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # thousands of images that nobody needs
        keep_models()
        if not is_second_region:
            BackendDict.reset()
            reset_model_data()
        self.region = region
        self._execution_second = execution_second
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"
        self.id = DEFAULT_ACCOUNT_ID
        self._invocations = Invocations(account=self.id, region=region)
        self._clients: list[BaseClient] = []
        self.ssm: SSMClient = self.client("ssm")
        self.ec2: EC2Client = self.client("ec2")
        self._fleet = Inventory(self.ssm, self.ec2)
        self._events = EventBus(account=self.id, region=region)
        self.run_command = Dispatcher(
            self._fleet, StatusEvents(self._events), delivery_second=delivery_second
        )
        self.load_balancing = LoadBalancing(account=self.id, region=region, second=balancing_second)
        self.auto_scaling = AutoScaling(self._events, self.load_balancing, hook_second=hook_second)
        self.throttle: Throttle | None = None  # without one, every call is allowed
        # Last: building clients takes a while, and Ctrl-C meanwhile would leave the server running.
        self._directory = Path(tempfile.mkdtemp(prefix="pulley-agents-"))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_SHUTDOWN_SECONDS,), daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        """Return the account, which serves already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the account."""
        self.close()

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that send a process to this account, with its secret key."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self._key.id,
            "AWS_SECRET_ACCESS_KEY": self._key.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its class
        """A client for the account, closed with it. Not for several threads at once."""
        made = _session(self.region).client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self._key.id,
            aws_secret_access_key=self._key.secret,
        )
        self._clients.append(made)
        return made

    def add_host(  # noqa: PLR0913 - each is a fact of its own
        self,
        name: str,
        *,
        tags: Mapping[str, str],
        root: Path,
        path_prefix: Sequence[Path] = (),
        agent_version: str = AGENT_VERSION,
        unit: Mapping[str, str] = {},
    ) -> EmulatedHost:
        """Run an instance with these tags and `Name`, and an agent for it.

        `root` stands for the host's file system; `path_prefix` comes first in a script's PATH;
        `unit` has the environment variables of the agent's systemd unit.
        """
        named = {**tags, "Name": name}
        answer = self.ec2.run_instances(
            ImageId=_IMAGE,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": key, "Value": value} for key, value in named.items()],
                }
            ],
        )
        host = self.build_agent(
            answer["Instances"][0]["InstanceId"],
            name,
            root=root,
            path_prefix=path_prefix,
            agent_version=agent_version,
            unit=unit,
        )
        self.connect(host)
        return host

    def build_agent(  # noqa: PLR0913 - each is a fact of its own
        self,
        instance_id: str,
        name: str,
        *,
        root: Path,
        path_prefix: Sequence[Path] = (),
        agent_version: str = AGENT_VERSION,
        unit: Mapping[str, str] = {},
    ) -> EmulatedHost:
        """An agent for an instance that EC2 has, as in `add_host`. `connect` makes it known."""
        return EmulatedHost(
            name,
            instance_id,
            root=root,
            region=self.region,
            agent_directory=self._directory / instance_id,
            path_prefix=path_prefix,
            agent_version=agent_version,
            unit=unit,
            second=self._execution_second,
        )

    def connect(self, host: EmulatedHost) -> None:
        """Let an agent connect for the first time: from now on it is a managed instance."""
        self._fleet.add(host)

    def subscribe(self, callback: Subscriber, pattern: Pattern = _OF_COMMANDS) -> None:
        """Call back with each EventBridge event that matches, in order, on one thread.

        Without a pattern, these are the events of Run Command.
        """
        self._events.subscribe(callback, pattern)

    def run_function(self, name: str, invoked: Invoked) -> None:
        """Hand each event of an asynchronous Invoke of a deployed function to `invoked`.

        It is called on the request's thread, and must not wait for the function.
        """
        self._invocations.add(name, invoked)

    def wait_until_told(self) -> None:
        """Return when every subscriber has got every event so far."""
        self._events.wait_until_delivered()

    def wait_until_ended(self, command_id: str, *, timeout: float = 600) -> EmulatedCommand:
        """Return the command once it is over. Raises TimeoutError after `timeout` seconds."""
        return self.run_command.wait_for(
            command_id, lambda command: command.status.terminal, timeout=timeout
        )

    def close(self) -> None:
        """Kill what is running on the hosts, stop serving, and leave nothing behind."""
        self._fleet.close()
        self.run_command.wait_until_quiet()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.auto_scaling.close()
        self.load_balancing.close()
        self._events.close()
        for client in self._clients:
            client.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _answer(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """The WSGI application: answers what moto cannot, and gives the rest to moto."""
        invoked = self._invocations.answer(Request(environ))
        if invoked is not None:
            return invoked(environ, start_response)
        query = read_query(environ, self.region)
        if query:
            service = self.load_balancing if query.service == LOAD_BALANCING else self.auto_scaling
            return service.answer(query, environ, start_response, _moto())
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        name = target.removeprefix(_TARGET_PREFIX)
        operation = self._operations().get(name) if target != name else None
        if self.throttle and self.throttle.refuses(name):
            operation = refuse
        if operation is None:
            answer: Iterable[bytes] = _moto()(environ, start_response)
            return answer
        try:
            body = json.loads(Request(environ).get_data())
            shape = self.ssm.meta.service_model.operation_model(name).input_shape
            if shape is not None:
                check_input(body, shape)
            content, status = operation(body), 200
        except ApiError as error:
            content, status = {"__type": error.code, "message": error.message}, error.status
        except Exception:  # noqa: BLE001 - our own fault is a 500, as at AWS
            _LOG.exception("%s failed", name)
            content, status = {"__type": "InternalServerError", "message": ""}, 500
        response = Response(json.dumps(content), status, content_type="application/x-amz-json-1.1")
        return response(environ, start_response)

    def _operations(self) -> Mapping[str, Callable[[Mapping[str, Any]], history.Output]]:
        commands = self.run_command.commands

        def send(body: Mapping[str, Any]) -> history.Output:
            return {"Command": history.show_command(self.run_command.send(body))}

        def cancel(body: Mapping[str, Any]) -> history.Output:
            self.run_command.cancel(body)
            return {}

        return {
            "SendCommand": send,
            "CancelCommand": cancel,
            "ListCommands": lambda body: history.list_commands(body, commands()),
            "ListCommandInvocations": lambda body: history.list_command_invocations(
                body, commands()
            ),
            "GetCommandInvocation": lambda body: history.get_command_invocation(body, commands()),
            "DescribeInstanceInformation": lambda body: history.describe_instance_information(
                body, self._fleet.instances()
            ),
        }


@cache
def _moto() -> DomainDispatcherApplication:
    return DomainDispatcherApplication(create_backend_app)


@cache
def _session(region: str) -> boto3.Session:
    return boto3.Session(region_name=region)


class _QuietMotoHandler(QuietHandler, MotoRequestHandler):
    """moto's request handler, which logs nothing."""
