"""The sandbox is private: other users of the machine and web pages get nothing from any server."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError
from werkzeug.test import create_environ

from pulley.sandbox.account import Account
from pulley.sandbox.owner import AS_ROOT
from pulley.sandbox.private.peers import can_tell_users, is_ours
from pulley.sandbox.private.signature import AccessKey, RefusedError, check_signature
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.sandbox.lab import Lab
from tests.sandbox.signed import sign

SERVERS = ("AWS", "GitHub", "git", "webhook", "site", "balancer")
SOMEBODY_ELSE = 54321  # no user of this machine
ASK = """\
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
try:
    connection.sendall(f"GET / HTTP/1.0\\r\\nHost: {sys.argv[1]}\\r\\n\\r\\n".encode())
    print(connection.makefile("rb").readline().decode())
except ConnectionError:
    pass
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def urls(sandbox: Sandbox) -> dict[str, str]:
    """An address of each server that answers a GET with something else than 403, by its name."""
    sandbox.machines[0].write("build/index.html", "hello")
    info = "/info/refs?service=git-receive-pack"
    return {
        "AWS": f"{sandbox.account.endpoint_url}/",
        "GitHub": f"{sandbox.github.api_url}/repos/{FULL_NAME}/hooks",
        "git": f"{sandbox.upstream.url}{info}",
        "webhook": sandbox.webhook.url.removesuffix("github") + "state.json",
        "site": sandbox.machines[0].site.url,
        "balancer": sandbox.balance().url,
    }


def ask(sandbox: Sandbox, url: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """The status, the answer's headers and its body. The request has every key that is needed."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if url.startswith(sandbox.account.endpoint_url) and method != "OPTIONS":
        method, body = "POST", "{}"
        amz = {"X-Amz-Target": "AmazonSSM.DescribeParameters"}
        amz |= {"Content-Type": "application/x-amz-json-1.1"}
        given |= sign(sandbox.account, "ssm", body, amz | {"Host": urlsplit(url).netloc} | given)
    else:
        body = None
        given |= {"Authorization": f"Bearer {sandbox.token}"}
    answer = urllib3.request(method, url, body=body, headers=given, retries=False)
    return answer.status, str(dict(answer.headers)), answer.data.decode()


@pytest.mark.parametrize("name", SERVERS)
class TestWebPages:
    def test_request_of_no_web_page_is_answered_without_a_cors_header(
        self, sandbox: Sandbox, urls: dict[str, str], name: str
    ) -> None:
        status, headers, _ = ask(sandbox, urls[name])
        assert status == (404 if name == "webhook" else 200)  # there is no page key
        assert "access-control" not in headers.lower()

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""])
    def test_other_host_is_refused(
        self, sandbox: Sandbox, urls: dict[str, str], name: str, host: str
    ) -> None:
        status, _, body = ask(sandbox, urls[name], Host=host)
        assert (status, "Host must be" in body) == (403, True)

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
    @pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
    def test_request_of_another_origin_is_refused_without_a_cors_header(
        self, sandbox: Sandbox, urls: dict[str, str], name: str, origin: str, method: str
    ) -> None:
        status, headers, body = ask(sandbox, urls[name], method, Origin=origin)
        assert (status, "another origin" in body) == (403, True)
        assert "access-control" not in headers.lower()

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_image_or_frame_of_another_site_is_refused(
        self, sandbox: Sandbox, urls: dict[str, str], name: str, site: str
    ) -> None:
        for mode, kind in [("no-cors", "image"), ("navigate", "iframe")]:
            status, _, body = ask(
                sandbox,
                urls[name],
                Sec_Fetch_Site=site,
                Sec_Fetch_Mode=mode,
                Sec_Fetch_Dest=kind,
            )
            assert (status, "another site" in body) == (403, True)


def test_own_page_and_followed_link_are_answered(sandbox: Sandbox, urls: dict[str, str]) -> None:
    site = urls["site"]
    link = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert ask(sandbox, site, Sec_Fetch_Site="cross-site", **link)[0] == 200
    assert ask(sandbox, site, Sec_Fetch_Site="same-origin", Origin=site.rstrip("/"))[0] == 200


class TestUsers:
    @pytest.mark.skipif(not AS_ROOT, reason="only root can become somebody else")
    @pytest.mark.parametrize("name", SERVERS)
    def test_other_user_gets_no_answer(
        self, sandbox: Sandbox, urls: dict[str, str], name: str
    ) -> None:
        place = urlsplit(urls[name])
        asked = ["python3", "-IS", "-c", ASK, str(place.hostname), str(place.port)]
        become = ["setpriv", f"--reuid={SOMEBODY_ELSE}", f"--regid={SOMEBODY_ELSE}"]
        other, own = (
            subprocess.run(
                [*before, *asked],
                capture_output=True,
                text=True,
                check=True,
                env={"PATH": "/usr/bin:/bin"},
            ).stdout
            for before in ([*become, "--clear-groups"], [])
        )
        assert (other.strip(), own[:5]) == ("", "HTTP/")

    def test_machine_can_tell_users(self) -> None:
        assert can_tell_users()

    def test_connection_that_its_process_has_closed_is_nobodys(self, sandbox: Sandbox) -> None:
        """The kernel says 0 for it, which would be root."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname())
            accepted, _ = server.accept()
            with accepted:
                assert is_ours(accepted)
                client.close()
                assert not is_ours(accepted)

    def test_only_we_and_the_hosts_owner_can_enter_the_folder(self, sandbox: Sandbox) -> None:
        assert sandbox.directory.stat().st_mode & 0o007 == 0

    @pytest.mark.parametrize("name", ["environment", "github-token", "github-header"])
    def test_only_we_can_read_a_secret(self, sandbox: Sandbox, name: str) -> None:
        assert (sandbox.directory / name).stat().st_mode & 0o777 == 0o600

    def test_no_key_is_on_a_command_line(self, sandbox: Sandbox) -> None:
        secrets = [sandbox.token, sandbox.secret.decode(), sandbox.github.push_key]
        secrets.append(sandbox.account.environ["AWS_SECRET_ACCESS_KEY"])
        ours = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in family()]
        assert any("pulley.sandbox.app.serve" in one for one in ours)
        assert not [one for one in ours for secret in secrets if secret in one]


def family() -> set[int]:
    """Our process, and those below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found, wave = {os.getpid()}, {os.getpid()}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave}
        found |= wave
    return found


def listening() -> dict[tuple[str, int], str]:
    """The inode of each socket of this machine that listens on IPv4 or IPv6, by address."""
    found = {}
    for kind, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, place, _, state, *rest = line.split()
            if state == "0A":
                number, _, port = place.partition(":")
                words = [
                    bytes.fromhex(number[at : at + 8])[::-1] for at in range(0, len(number), 8)
                ]
                found[socket.inet_ntop(kind, b"".join(words)), int(port, 16)] = rest[5]
    return found


def test_every_socket_that_listens_is_on_loopback(sandbox: Sandbox, urls: dict[str, str]) -> None:
    own = set()
    for pid in family():
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                own.add(str(link.readlink()))
            except OSError:  # closed meanwhile
                continue
    places = {place for place, inode in listening().items() if f"socket:[{inode}]" in own}
    assert {urlsplit(one).port for one in urls.values()} <= {port for _, port in places}
    assert [address for address, _ in places if not address.startswith("127.")] == []


class TestKey:
    def test_each_account_has_a_key_of_its_own(self, account: Account) -> None:
        one = account.environ
        account.close()
        with Account() as other:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                assert one[name] != other.environ[name]

    @pytest.mark.parametrize("knows_id", [True, False])
    def test_command_of_a_client_without_the_key_is_403_and_runs_nothing(
        self, lab: Lab, tmp_path: Path, *, knows_id: bool
    ) -> None:
        lab.add_host()
        lab.store(f"touch {tmp_path}/ran")
        id_ = lab.account.environ["AWS_ACCESS_KEY_ID"] if knows_id else "AKIAAAAAAAAAAAAAAAAA"
        other = boto3.Session(id_, "guessed", region_name=lab.account.region)
        client = other.client("ssm", endpoint_url=lab.account.endpoint_url)
        code = "InvalidSignatureException" if knows_id else "UnrecognizedClientException"
        with pytest.raises(ClientError, match=code) as refused:
            client.send_command(
                DocumentName="test-document",
                Targets=[{"Key": "tag:fleet", "Values": ["all"]}],
            )
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert lab.account.run_command.commands() == []
        lab.run()  # the key's owner can
        assert (tmp_path / "ran").exists()

    @pytest.mark.parametrize(
        "service",
        ["autoscaling", "apigateway", "ec2", "elbv2", "events", "iam", "lambda", "s3", "sts"],
    )
    def test_each_protocol_names_the_error(self, account: Account, service: str) -> None:
        operations = {
            "autoscaling": "describe_auto_scaling_groups",
            "apigateway": "get_rest_apis",
            "ec2": "describe_instances",
            "elbv2": "describe_load_balancers",
            "events": "list_rules",
            "iam": "list_roles",
            "lambda": "list_functions",
            "s3": "list_buckets",
            "sts": "get_caller_identity",
        }
        getattr(account.client(service), operations[service])()
        other = boto3.Session("AKIAAAAAAAAAAAAAAAAA", "guessed", region_name=account.region)
        client = other.client(service, endpoint_url=account.endpoint_url)  # type: ignore[call-overload]
        code = "UnrecognizedClientException|InvalidClientTokenId"
        with pytest.raises(ClientError, match=code):
            getattr(client, operations[service])()

    @pytest.mark.parametrize(
        "path", ["/", "/moto-api/", "/moto-api/data.json", "/latest/meta-data/", "/favicon.ico"]
    )
    def test_unsigned_request_is_403(self, account: Account, path: str) -> None:
        answer = urllib3.request("GET", account.endpoint_url + path, retries=False)
        assert (answer.status, "access-control" in str(answer.headers).lower()) == (403, False)

    def test_changed_body_header_or_time_is_403(self, account: Account) -> None:
        body = '{"Name": "/a"}'
        amz = {"X-Amz-Target": "AmazonSSM.DeleteParameter"}
        account.ssm.put_parameter(Name="/a", Value="1", Type="String")
        given = sign(account, "ssm", body, amz)
        old = given | {"X-Amz-Date": "20200101T000000Z"}
        changes = [
            (given, '{"Name": "/b"}'),
            (given | {"X-Amz-Target": "AmazonSSM.GetParameter"}, body),
            (given | {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, '{"Name": "/b"}'),
            (old, body),
            ({**given, "Authorization": given["Authorization"].replace("host;", "")}, body),
        ]
        for headers, sent in changes:
            answer = urllib3.request(
                "POST", account.endpoint_url, body=sent, headers=headers, retries=False
            )
            assert answer.status == 403
        assert account.ssm.get_parameter(Name="/a")["Parameter"]["Value"] == "1"
        done = urllib3.request(
            "POST", account.endpoint_url, body=body, headers=given, retries=False
        )
        assert (done.status, json.loads(done.data)) == (200, {})

    def test_presigned_url_is_answered_until_it_is_changed(self, account: Account) -> None:
        iam = account.client("iam")
        url = iam.generate_presigned_url("list_roles", HttpMethod="GET")
        assert urllib3.request("GET", url, retries=False).status != 403
        for changed in (f"{url}&PathPrefix=/x", url.replace("Expires=3600", "Expires=7200")):
            assert changed != url
            assert urllib3.request("GET", changed, retries=False).status == 403
        iam.close()

    @pytest.mark.parametrize(("seconds", "is_valid"), [(-901, False), (59, True), (61, False)])
    def test_presigned_url_counts_for_its_time(
        self, account: Account, seconds: int, *, is_valid: bool
    ) -> None:
        iam, environ = account.client("iam"), account.environ
        url = iam.generate_presigned_url("list_roles", HttpMethod="GET", ExpiresIn=60)
        parts = urlsplit(url)
        signed = datetime.strptime(parse_qs(parts.query)["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
        key = AccessKey(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"])
        request = create_environ("/", account.endpoint_url, query_string=parts.query)
        request["REQUEST_URI"] = f"/?{parts.query}"
        expectation = nullcontext() if is_valid else pytest.raises(RefusedError, match="expired")
        with expectation:
            check_signature(request, key, now=signed + timedelta(seconds=seconds))
