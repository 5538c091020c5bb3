"""All metrics: the name (prometheus.io/docs/practices/naming), what it means, its possible label values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product

from pennyred.gate.rules.figures import Outcome
from pennyred.gate.timing import Phase
from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldOutcome, SettleOutcome, VoidOutcome

Labels = tuple[str, ...]
"""A combination of label values: one for each label of a metric."""

UNAVAILABLE = "unavailable"
"""The outcome of a redemption if the office has not answered."""
ROUTES = (
    "/.well-known/pennyred",
    "/healthz",
    "/metrics",
    "/v1/accounts",
    "/v1/accounts/me",
    "/v1/accounts/me/entries",
    "/v1/accounts/me/licence",
    "/v1/accounts/me/receipts",
    "/v1/probes",
    "/v1/purchases",
    "/v1/receivers/me/domains",
    "/v1/redemptions/hold",
    "/v1/redemptions/settle",
    "/v1/redemptions/void",
    "/v1/revocations",
    "/v1/totals",
    "/v1/openapi.json",
)
OTHER = "other"
"""The label for all other paths, whatever was asked for."""
WORKERS_MAX = 64

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0)


class Kind(StrEnum):
    """The type of a metric, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Join(StrEnum):
    """How the figures of several workers are joined into one."""

    SUM = "sum"
    LEAST = "least"
    MOST = "most"
    EACH = "each"
    """Not joined: each worker has its own figure, with the label `worker`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `values` are all possible combinations of label values."""

    name: str
    kind: Kind
    meaning: str
    labels: Labels = ()
    values: tuple[Labels, ...] = ((),)
    buckets: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets, without infinity; empty for other kinds."""
    join: Join = Join.SUM
    is_sparse: bool = False
    """Whether a combination is shown only after it was counted: most never are."""

    @property
    def cells(self) -> int:
        """How many words a combination takes: a histogram has its buckets, one for larger values, and the sum."""
        return len(self.buckets) + 2 if self.kind is Kind.HISTOGRAM else 1


def _each(values: Iterable[str]) -> tuple[Labels, ...]:
    return tuple((value,) for value in values)


def _counter(name: str, meaning: str, labels: Labels = (), values: tuple[Labels, ...] = ((),)) -> Metric:
    return Metric(name, Kind.COUNTER, meaning, labels, values)


def _gauge(
    name: str, meaning: str, labels: Labels = (), values: tuple[Labels, ...] = ((),), join: Join = Join.SUM
) -> Metric:
    return Metric(name, Kind.GAUGE, meaning, labels, values, join=join)


def _histogram(
    name: str,
    meaning: str,
    labels: Labels = (),
    values: tuple[Labels, ...] = ((),),
    buckets: tuple[float, ...] = _SECONDS,
) -> Metric:
    return Metric(name, Kind.HISTOGRAM, meaning, labels, values, buckets)


_ANSWERS = tuple(product(Outcome, Reason))
_REDEMPTIONS = (
    *product(("hold",), (*HoldOutcome, UNAVAILABLE)),
    *product(("settle",), (*SettleOutcome, UNAVAILABLE)),
    *product(("void",), (*VoidOutcome, UNAVAILABLE)),
)

LETTERS = replace(
    _counter(
        "pennyred_gate_letters_total",
        "letters answered, by what became of them and by which rule (of several recipients: the first's)",
        ("outcome", "reason"),
        _ANSWERS,
    ),
    is_sparse=True,
)
RECIPIENTS = replace(
    _counter("pennyred_gate_recipients_total", "the same for each recipient", ("outcome", "reason"), _ANSWERS),
    is_sparse=True,
)
ALTERED = _counter(
    "pennyred_gate_altered_total",
    "recipients of stamped letters, by the row of the table that says how the letter was altered on its way",
    ("row",),
    _each(row.value for row in Row),
)
PHASES = _histogram(
    "pennyred_gate_phase_seconds",
    "how long a letter took to receive, to judge, to hold, to deliver, to settle",
    ("phase",),
    _each(Phase),
)
WHOLE_LETTER = _histogram("pennyred_gate_letter_seconds", "from the letter's first octet to the answer")
REDEMPTIONS = _counter(
    "pennyred_gate_redemptions_total",
    "stamps the office was asked about, by operation and its answer",
    ("operation", "outcome"),
    _REDEMPTIONS,
)
CONNECTIONS = _gauge("pennyred_gate_connections", "clients connected")
LETTERS_IN_HAND = _gauge("pennyred_gate_letters_in_hand", "letters being judged and delivered")
LETTER_MEMORY = _gauge(
    "pennyred_gate_letter_memory_bytes", "held by letters under way or in hand, of memory_for_letters"
)
MEMORY_SHORT = _counter("pennyred_gate_memory_short_total", "times a client was told to come again as that was used up")
OUTBOX = _gauge(
    "pennyred_gate_outbox_settlements",
    "settlements no office has confirmed yet: in the gate's state, or in memory as its disk is full; put-off: the "
    "office has said that time may cure it (in-progress, over-cap)",
    ("place",),
    _each(("state", "memory", "put-off")),
)
OUTBOX_AGE = _gauge(
    "pennyred_gate_outbox_age_seconds",
    "how long the oldest in the gate's state has waited for an answer, those put off left out",
    join=Join.MOST,
)
REFUSED_COPIES = _counter(
    "pennyred_gate_refused_copies_total",
    "refused letters whose copies went before their time to make room, or that were too long to be kept",
    ("what",),
    _each(("crowded-out", "left-out")),
)
BEHIND = _gauge(
    "pennyred_housekeeping_behind_seconds",
    "how much later than by the clock things are forgotten, as the clock has jumped or the machine was off",
    ("database",),
    _each(("ledger", "state")),
    join=Join.MOST,
)
CERTIFICATE_END = _gauge(
    "pennyred_gate_certificate_expiry_timestamp_seconds",
    "when the certificate for STARTTLS ends; 0: there is none, or it cannot be read",
    join=Join.MOST,
)
READY = _gauge(
    "pennyred_gate_ready",
    "1 where that part answers, as /readyz has it",
    ("part",),
    _each(("upstream", "state", "office", "workers")),
    join=Join.MOST,
)
UPSTREAM_UP = _gauge(
    "pennyred_gate_upstream_up",
    "1 while no worker holds that mail server for down",
    ("door", "upstream"),
    join=Join.LEAST,
)
UPSTREAM_CONNECTIONS = _gauge(
    "pennyred_gate_upstream_connections", "connections to it, idle ones included", ("door", "upstream")
)
UPSTREAM_IDLE = _gauge("pennyred_gate_upstream_idle_connections", "those ready to be used", ("door", "upstream"))
REQUESTS = _counter(
    "pennyred_office_requests_total",
    "requests to the office's API, by path and class of the answer (2xx, 4xx, 5xx)",
    ("route", "code"),
    tuple(product((*ROUTES, OTHER), ("2xx", "3xx", "4xx", "5xx"))),
)
REQUEST_SECONDS = _histogram(
    "pennyred_office_request_seconds", "how long they took", ("route",), _each((*ROUTES, OTHER))
)
BATCH_SIZE = _histogram(
    "pennyred_ledger_batch_size", "requests answered by one transaction of the ledger", buckets=_SIZES
)
BATCH_SECONDS = _histogram("pennyred_ledger_batch_seconds", "how long one took, less a slow flush of a file")
BATCH_FAILURES = _counter("pennyred_ledger_batch_failures_total", "transactions the database did not answer")
SWEPT = _counter(
    "pennyred_ledger_swept_total",
    "holds left in doubt that were voided or settled, days forgotten, sweeps that failed",
    ("what",),
    _each(("voided", "settled", "days", "failed")),
)
ACCOUNTS = _gauge("pennyred_ledger_accounts", "accounts, at the last audit", join=Join.MOST)
STAMPS = _gauge(
    "pennyred_ledger_stamps",
    "stamps sold, settled, refunded, held (holds open), outstanding (with senders, unspent), at the last audit",
    ("what",),
    _each(("sold", "settled", "refunded", "held", "outstanding")),
    join=Join.MOST,
)
BALANCED = _gauge("pennyred_ledger_balanced", "1 where the last audit found every balance right", join=Join.MOST)
AUDIT_TIME = _gauge("pennyred_ledger_audit_timestamp_seconds", "when the last audit ended", join=Join.MOST)
AUDIT_SECONDS = _gauge("pennyred_ledger_audit_seconds", "how long it took", join=Join.MOST)
WORKER_STARTS = _counter(
    "pennyred_worker_starts_total", "workers started, those that replace a dead one and the ledger's process included"
)
WORKER_UP = _gauge("pennyred_worker_up", "1 while the worker serves", join=Join.EACH)
WORKER_CPU = _gauge("pennyred_worker_cpu_seconds", "time a worker has computed since it was started", join=Join.EACH)
WORKER_MEMORY = _gauge("pennyred_worker_resident_memory_bytes", "memory of a worker, shared pages too", join=Join.EACH)
WORKER_FILES = _gauge("pennyred_worker_open_fds", "files and connections a worker has open", join=Join.EACH)
WORKER_START = _gauge("pennyred_worker_start_time_seconds", "when it was started", join=Join.EACH)


def catalogue(upstreams: Sequence[tuple[str, str]] = ()) -> tuple[Metric, ...]:
    """All metrics; `upstreams` are the mail servers in the settings, each with the door whose mail it gets."""
    of_upstreams = tuple(
        replace(one, values=tuple(upstreams)) for one in (UPSTREAM_UP, UPSTREAM_CONNECTIONS, UPSTREAM_IDLE)
    )
    return (
        LETTERS, RECIPIENTS, ALTERED, PHASES, WHOLE_LETTER, REDEMPTIONS, CONNECTIONS, LETTERS_IN_HAND, LETTER_MEMORY,
        MEMORY_SHORT, OUTBOX, OUTBOX_AGE, REFUSED_COPIES, BEHIND, CERTIFICATE_END, READY, *of_upstreams, REQUESTS,
        REQUEST_SECONDS, BATCH_SIZE, BATCH_SECONDS, BATCH_FAILURES, SWEPT, ACCOUNTS, STAMPS, BALANCED, AUDIT_TIME,
        AUDIT_SECONDS, WORKER_STARTS, WORKER_UP, WORKER_CPU, WORKER_MEMORY, WORKER_FILES, WORKER_START,
    )  # fmt: skip
