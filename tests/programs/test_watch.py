"""What whoever watches a running program sees: /metrics of gate and office, health and readiness."""

import json
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.mailserver import MailServer
from tests.support.real_postfix import free_port
from tests.support.town import BOB, Town, letter


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server


def get(port, path, **headers):
    """Status, media type and text of a page."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def figures(port):
    """All samples, by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(get(port, "/metrics")[2])
        for sample in family.samples
    }


def until(wanted):
    """Ask until it is so; pages are written out at most once a second, gauges every five."""
    ends = time.monotonic() + 90
    while not (found := wanted()):
        assert time.monotonic() < ends, "not seen in time"
        time.sleep(0.2)
    return found


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_letters_stamps_and_the_ledger_are_counted_whichever_worker_did_it(tmp_path, mail_server, workers):
    metrics = free_port()
    town = Town.found(tmp_path, mail_server.port, f'metrics = "127.0.0.1:{metrics}"')
    with town.serve():  # what was sold is looked at when it starts, and then once a minute
        town.fund(10)
    with town.serve("--workers", str(workers)):
        for _ in range(4):
            assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250
        assert town.send(letter(), BOB)[0] == 550

        seen = until(lambda: found if (found := figures(metrics)).get(
            ("pennyred_gate_letters_total", "accepted", "stamped")) == 4 else None)  # fmt: skip
        assert seen["pennyred_gate_letters_total", "no-stamp", "refused-here"] == 1
        assert seen["pennyred_gate_redemptions_total", "held", "hold"] == 4
        assert seen["pennyred_gate_redemptions_total", "settle", "settled"] == 4
        assert seen["pennyred_gate_phase_seconds_count", "deliver"] == 4
        assert seen["pennyred_ledger_batch_size_count",] >= 8
        assert seen["pennyred_worker_starts_total",] == workers + (workers > 1), "and the ledger's process"
        until(lambda: figures(town.office_port).get(("pennyred_ledger_stamps", "sold")) == 10)


def test_a_gate_is_ready_while_its_mail_server_is_there_and_alive_all_the_time(tmp_path):
    metrics = free_port()
    with MailServer() as server:
        town = Town.found(tmp_path, server.port, f'metrics = "127.0.0.1:{metrics}"')
        with town.serve():
            until(lambda: get(metrics, "/readyz")[0] == 200)
            document = json.loads(get(metrics, "/readyz")[2])
            assert {name: part["ok"] for name, part in document["parts"].items()} == {
                "upstream": True, "state": True, "office": True, "workers": True,
            }  # fmt: skip
            server.stop()
            until(lambda: get(metrics, "/readyz")[0] == 503)
            document = json.loads(get(metrics, "/readyz")[2])
            assert not document["parts"]["upstream"]["ok"]
            assert get(metrics, "/healthz")[:1] == (200,)
            assert get(metrics, "/nothing")[0] == 404


def test_the_offices_metrics_are_for_its_networks_and_not_through_a_proxy(tmp_path, mail_server):
    town = Town.found(tmp_path, mail_server.port)
    with town.serve():
        assert get(town.office_port, "/metrics")[0] == 200
        assert get(town.office_port, "/metrics", **{"X-Forwarded-For": "192.0.2.1"})[0] == 404
    town.write(office="metrics_networks = []")
    with town.serve():
        assert get(town.office_port, "/metrics")[0] == 404
        assert get(town.office_port, "/healthz")[0] == 200


def test_a_line_of_the_log_says_how_long_each_part_of_a_letter_took(tmp_path, mail_server):
    town = Town.found(tmp_path, mail_server.port)
    with town.serve() as served:
        town.fund(1)
        town.send(town.stamped(letter(), BOB), BOB)
        line = served.wait_for(lambda line: line["event"] == "letter")
    assert all(line[name] >= 0 for name in ("receive_ms", "judge_ms", "hold_ms", "upstream_ms", "settle_ms"))
    assert line["total_ms"] >= line["hold_ms"]
