"""The figures of several workers: added up, kept over a death, read as Prometheus reads them."""

import math
import os

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import Fact, Outcome
from pennyred.metrics import catalogue as all_metrics
from pennyred.metrics.catalogue import Kind, catalogue
from pennyred.metrics.exposition import Exposition
from pennyred.metrics.meter import Meter
from pennyred.metrics.sheet import Sheet
from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Reason


def sheet(workers=2):
    return Sheet(catalogue([("incoming", "127.0.0.1:25")]), workers)


def read(made, refresh=None):
    """What Prometheus would have of it: values by sample name and labels."""
    text = Exposition(made).page(refresh).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(figures, name, **labels):
    return figures.get((name, tuple(sorted(labels.items()))))


def test_what_workers_count_is_added_up():
    made = sheet()
    for worker, times in ((0, 2), (1, 3)):
        for _ in range(times):
            Meter(made.page(worker)).request("/healthz", 200, 0.003)
    figures = read(made)
    assert value(figures, "pennyred_office_requests_total", route="/healthz", code="2xx") == 5
    assert value(figures, "pennyred_office_request_seconds_count", route="/healthz") == 5
    assert math.isclose(value(figures, "pennyred_office_request_seconds_sum", route="/healthz"), 0.015)
    assert value(figures, "pennyred_office_request_seconds_bucket", route="/healthz", le="0.0025") == 0
    assert value(figures, "pennyred_office_request_seconds_bucket", route="/healthz", le="0.005") == 5


def test_a_worker_that_dies_takes_nothing_back_but_what_it_had_in_hand():
    made = sheet()
    page = made.page(0)
    page.counter(all_metrics.SWEPT).add("voided", by=7)
    page.gauge(all_metrics.CONNECTIONS).put(9)
    page.gauge(all_metrics.WORKER_UP).put(1)
    made.page(1).gauge(all_metrics.WORKER_UP).put(1)
    assert value(read(made), "pennyred_gate_connections") == 9
    made.forget(0)
    figures = read(made)
    assert value(figures, "pennyred_gate_connections") == 0
    assert value(figures, "pennyred_ledger_swept_total", what="voided") == 7
    assert value(figures, "pennyred_worker_up", worker="0") == 0


def test_what_a_worker_counts_after_the_fork_is_seen_by_the_others():
    made = sheet()
    child = os.fork()
    if child == 0:
        made.page(1).counter(all_metrics.BATCH_FAILURES).add()
        os._exit(0)
    os.waitpid(child, 0)
    assert value(read(made), "pennyred_ledger_batch_failures_total") == 1


def test_a_mail_server_is_up_while_no_worker_holds_it_for_down():
    made = sheet()
    for worker, is_up in ((0, 1), (1, 0)):
        page = made.page(worker)
        page.gauge(all_metrics.WORKER_UP).put(1)
        up = next(one for one in made.metrics if one.name == all_metrics.UPSTREAM_UP.name)
        page.gauge(up).put(is_up, "incoming", "127.0.0.1:25")
    assert value(read(made), "pennyred_gate_upstream_up", door="incoming", upstream="127.0.0.1:25") == 0


def test_the_ledgers_process_counts_like_a_worker_and_says_nothing_of_mail_servers():
    made = Sheet(catalogue([("incoming", "127.0.0.1:25")]), 1, has_ledger=True)
    for number in (0, 1):
        made.page(number).gauge(all_metrics.WORKER_UP).put(1)
        Meter(made.page(number)).batch(3, 0.001, True)
    up = next(one for one in made.metrics if one.name == all_metrics.UPSTREAM_UP.name)
    made.page(0).gauge(up).put(1, "incoming", "127.0.0.1:25")
    figures = read(made)
    assert value(figures, "pennyred_gate_upstream_up", door="incoming", upstream="127.0.0.1:25") == 1
    assert value(figures, "pennyred_worker_up", worker="ledger") == 1
    assert value(figures, "pennyred_ledger_batch_size_count") == 2


@given(st.text(max_size=50), st.integers(-1000, 1000), st.floats(0, 1000))
def test_nothing_that_a_stranger_says_becomes_a_label(path, status, seconds):
    made = sheet(1)
    Meter(made.page(0)).request(path, status, seconds)
    routes = {dict(labels).get("route") for _, labels in read(made)} - {None}
    assert routes == {*all_metrics.ROUTES, all_metrics.OTHER}


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.sampled_from(Reason), st.integers(1, 3)), max_size=20))
def test_letters_and_recipients_are_counted_by_what_became_of_them(letters):
    made = sheet(1)
    meter = Meter(made.page(0))
    for _, reason, recipients in letters:
        meter.failed(reason, recipients)
    figures = read(made)
    totals = {
        name: sum(found for (sample, _), found in figures.items() if sample == f"pennyred_gate_{name}_total")
        for name in ("letters", "recipients")
    }
    assert totals == {"letters": len(letters), "recipients": sum(count for *_, count in letters)}


def test_stamped_recipients_are_counted_by_how_their_letter_was_altered():
    made = sheet(1)
    usual = Fact(20_000, Mode.BULK, Outcome.ACCEPTED, Reason.STAMPED, False, False, "192.0.2.0/24", "")
    Meter(made.page(0)).letter([usual, *(usual._replace(row=row) for row in (Row.UNALTERED, Row.SAME_TEXT) * 2)])
    figures = read(made)
    assert value(figures, "pennyred_gate_altered_total", row="unaltered") == 2
    assert value(figures, "pennyred_gate_altered_total", row="same-text") == 2
    assert value(figures, "pennyred_gate_altered_total", row="body-proven") == 0


def test_every_metric_has_a_name_by_the_rules_and_says_what_it_means():
    for metric in catalogue([("incoming", "x")]):
        assert metric.name.startswith("pennyred_")
        assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
        assert metric.meaning
        assert len(set(metric.values)) == len(metric.values)
