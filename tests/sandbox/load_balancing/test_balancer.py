"""The balancer: to whom it forwards, and what it answers if that fails."""

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.processes import HANG_SECONDS
from tests.sandbox.load_balancing.farm import LONG, Farm


class TestForwarding:
    def test_healthy_targets_take_turns(self, farm: Farm) -> None:
        first, second = farm.bring_up()
        answers = [farm.get() for _ in range(4)]
        assert answers[:2] == answers[2:]
        assert sorted(answers[:2]) == sorted([(200, "web-1\n", first), (200, "web-2\n", second)])

    def test_client_s_connection_stays_open(self, farm: Farm) -> None:
        farm.bring_up()
        connection = farm.connect()
        texts = []
        for _ in range(3):
            connection.request("GET", "/")
            used = connection.sock
            texts.append(connection.getresponse().read())
            assert connection.sock is used
        connection.request("HEAD", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read(), answer.headers["Content-Length"]) == (200, b"", "6")
        connection.request("GET", "/missing")
        assert connection.getresponse().read()
        connection.close()
        assert texts[0] == texts[2] != texts[1]

    def test_target_s_own_error_reaches_the_client(self, farm: Farm) -> None:
        farm.bring_up()
        assert farm.get("/missing")[0] == 404
        connection = farm.connect()
        connection.request("POST", "/", body="x=1")
        assert connection.getresponse().status == 501  # the site serves files
        connection.close()

    def test_body_in_chunks_is_refused(self, farm: Farm) -> None:
        farm.bring_up()
        connection = farm.connect()
        connection.putrequest("POST", "/")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        assert connection.getresponse().status == 501
        connection.close()

    def test_requests_print_nothing(self, farm: Farm, capfd: pytest.CaptureFixture[str]) -> None:
        first, _ = farm.bring_up()
        farm.sites[first].stop()
        for _ in range(2):
            farm.get()
        assert capfd.readouterr() == ("", "")


class TestFailing:
    def test_group_without_targets_is_503(self, farm: Farm) -> None:
        assert farm.get()[0] == 503
        farm.bring_up()
        farm.deregister(*farm.sites)
        assert farm.get() == (
            503,
            "<html><body><h1>503 Service Unavailable</h1></body></html>\n",
            "",
        )

    def test_target_that_refuses_is_502_until_it_is_found_unhealthy(self, farm: Farm) -> None:
        first, second = farm.bring_up()
        farm.client.modify_target_group(
            TargetGroupArn=farm.arn, HealthCheckIntervalSeconds=300, UnhealthyThresholdCount=10
        )
        farm.sites[first].stop()
        assert {farm.get()[::2] for _ in range(8)} == {(502, first), (200, second)}

    def test_request_that_is_cut_is_502(self, farm: Farm) -> None:
        first, _ = farm.sites
        farm.register(first)
        farm.wait_for("healthy", first)
        farm.sites[first].pause = HANG_SECONDS
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(farm.get)
            wait_until_under_way(farm, first)
            farm.sites[first].stop()
            assert answer.result()[::2] == (502, first)

    def test_all_get_requests_if_none_is_healthy(self, farm: Farm) -> None:
        ids = farm.bring_up()
        for name in ("web-1", "web-2"):
            (farm.folder / name / "health").unlink()
        farm.wait_for("unhealthy", *ids)
        assert {farm.get()[::2] for _ in range(4)} == {(200, one) for one in ids}

    def test_instance_without_an_address_is_502(self, farm: Farm) -> None:
        first, _ = farm.sites
        farm.account.load_balancing.displace(first)
        farm.register(first)
        assert farm.get()[::2] == (502, first)
        farm.wait_for("unhealthy", first)

    def test_closed_balancer_refuses(self, farm: Farm) -> None:
        farm.bring_up()
        connection = farm.connect()
        connection.request("GET", "/")
        connection.getresponse().read()
        farm.balancer.close()
        assert connection.sock.recv(1) == b""
        connection.close()
        place = urlsplit(farm.balancer.url)
        with pytest.raises(ConnectionRefusedError):
            HTTPConnection(place.hostname or "", place.port).connect()


class TestDraining:
    def test_request_under_way_is_answered_and_new_ones_go_elsewhere(self, farm: Farm) -> None:
        first, second = farm.bring_up()
        farm.delay(LONG)
        with ThreadPoolExecutor() as pool:
            for site in farm.sites.values():
                site.pause = 1.0
            under_way = [pool.submit(farm.get) for _ in range(2)]
            wait_until_under_way(farm, first)
            farm.deregister(first)
            farm.sites[second].pause = 0
            assert {farm.get()[2] for _ in range(4)} == {second}
            assert sorted(one.result()[::2] for one in under_way) == sorted(
                [(200, first), (200, second)]
            )
        assert farm.balancer.states()[first] == "draining"

    def test_request_that_outlasts_the_delay_is_502(self, farm: Farm) -> None:
        first, _ = farm.sites
        farm.register(first)
        farm.wait_for("healthy", first)
        farm.sites[first].pause = HANG_SECONDS
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(farm.get)
            wait_until_under_way(farm, first)
            farm.deregister(first)
            farm.wait_for("unused", first)
            assert answer.result()[::2] == (502, first)

    def test_killed_site_of_a_draining_target_costs_only_its_own_requests(self, farm: Farm) -> None:
        first, second = farm.bring_up()
        farm.delay(LONG)
        with ThreadPoolExecutor() as pool:
            farm.sites[first].pause = HANG_SECONDS
            under_way = [pool.submit(farm.get) for _ in range(2)]
            wait_until_under_way(farm, first)
            farm.deregister(first)
            farm.sites[first].stop()
            assert sorted(one.result()[::2] for one in under_way) == sorted(
                [(502, first), (200, second)]
            )
            assert {farm.get()[::2] for _ in range(4)} == {(200, second)}
        assert farm.balancer.states()[first] == "draining"


def wait_until_under_way(farm: Farm, instance_id: str) -> None:
    farm.account.load_balancing.wait_until_under_way(instance_id, timeout=HANG_SECONDS)
