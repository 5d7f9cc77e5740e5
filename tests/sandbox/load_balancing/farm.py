"""A target group of an account, and sites that are its targets, called by boto3 and over HTTP."""

from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pulley.sandbox.account import Account
from pulley.sandbox.hosts.site import Site, open_sites
from pulley.sandbox.hosts.users import give_to_owner
from pulley.sandbox.load_balancing.balancer import TARGET_HEADER, Balancer
from tests.processes import HANG_SECONDS

LONG = 3000  # seconds of a delay, 30 s here: longer than a test looks
DELAY = "deregistration_delay.timeout_seconds"


@dataclass
class Farm:
    """A group with a listener. `sites` has the site of each instance, by id."""

    account: Account
    client: Any
    folder: Path
    arn: str = ""
    balancer: Balancer = field(init=False)
    sites: dict[str, Site] = field(default_factory=dict)

    def open(self, *names: str) -> None:
        """Run an instance with a healthy site for each name, and make the group."""
        opened = open_sites([self.folder / name for name in names])
        for name, site in zip(names, opened, strict=True):
            self.put(name, "health", "ok\n")
            self.put(name, "index.html", f"{name}\n")
            answer = self.account.ec2.run_instances(ImageId="ami-00000000", MinCount=1, MaxCount=1)
            instance_id = answer["Instances"][0]["InstanceId"]
            self.sites[instance_id] = site
            self.account.load_balancing.place(instance_id, site.address)
        self.arn = self.make_group("web", opened[0].port)
        self.listen(self.arn)
        self.balancer = self.account.load_balancing.open_balancer(self.arn)

    def put(self, name: str, path: str, text: str) -> None:
        """Write a file of a site."""
        place = self.folder / name / path
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        give_to_owner(place.parent)

    def make_group(self, name: str, port: int) -> str:
        """Make a target group whose targets drain for 100 s (1 s here). Gives its ARN."""
        made = self.client.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=port,
            VpcId=self.account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
            HealthCheckPath="/health",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=4,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
        )
        arn = str(made["TargetGroups"][0]["TargetGroupArn"])
        self.delay(100, arn)
        return arn

    def listen(self, arn: str) -> None:
        """Make a load balancer that forwards to a group."""
        subnets = [one["SubnetId"] for one in self.account.ec2.describe_subnets()["Subnets"]]
        made = self.client.create_load_balancer(Name="web", Subnets=subnets)
        self.client.create_listener(
            LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
        )

    def delay(self, seconds: int, arn: str = "") -> None:
        """Set how long a target drains; a hundredth of it here."""
        self.client.modify_target_group_attributes(
            TargetGroupArn=arn or self.arn, Attributes=[{"Key": DELAY, "Value": str(seconds)}]
        )

    def register(self, *ids: str, arn: str = "") -> None:
        self.client.register_targets(
            TargetGroupArn=arn or self.arn, Targets=[{"Id": one} for one in ids]
        )

    def deregister(self, *ids: str) -> None:
        self.client.deregister_targets(
            TargetGroupArn=self.arn, Targets=[{"Id": one} for one in ids]
        )

    def wait_for(self, state: str, *ids: str) -> None:
        for one in ids:
            self.balancer.wait_for(one, state, timeout=HANG_SECONDS)

    def bring_up(self) -> list[str]:
        """Register all, and wait until they are healthy. Gives their ids."""
        ids = [*self.sites]
        self.register(*ids)
        self.wait_for("healthy", *ids)
        return ids

    def health(self, *ids: str, arn: str = "") -> dict[str, tuple[str, str, str]]:
        """State, reason and description of these targets, or of all that the group has."""
        asked = {"Targets": [{"Id": one} for one in ids]} if ids else {}
        answer = self.client.describe_target_health(TargetGroupArn=arn or self.arn, **asked)
        return {
            one["Target"]["Id"]: (
                one["TargetHealth"]["State"],
                one["TargetHealth"].get("Reason", ""),
                one["TargetHealth"].get("Description", ""),
            )
            for one in answer["TargetHealthDescriptions"]
        }

    def get(self, path: str = "/") -> tuple[int, str, str]:
        """Request a page through the balancer. Gives the status, the text, and who answered."""
        connection = self.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, answer.headers.get(TARGET_HEADER, "")

    def connect(self) -> HTTPConnection:
        """A client's connection to the balancer."""
        place = urlsplit(self.balancer.url)
        return HTTPConnection(place.hostname or "", place.port, timeout=HANG_SECONDS)
