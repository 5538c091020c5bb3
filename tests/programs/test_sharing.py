"""What one setting allows all workers, shared out among them."""

from hypothesis import given
from hypothesis import strategies as st

from pennyred.config.settings import GateSettings
from pennyred.programs.gate_parts import upstream_options


@given(st.integers(1, 64), st.integers(0, 200), st.integers(1, 200))
def test_the_workers_parts_of_the_connections_to_a_mail_server_are_together_no_more_than_is_set(workers, more, share):
    gate = GateSettings(
        hostname="mx.example.org",
        upstream=("smtp://127.0.0.1:10025",),
        workers=workers,
        upstream_connections=workers + more,
        upstream_connections_per_network=share,
    )
    [options] = upstream_options(gate)
    assert options.connections_max >= 1
    assert workers * options.connections_max <= workers + more
    in_all = workers * options.connections_per_network_max
    assert options.connections_per_network_max == 1 or in_all <= share
    assert workers + more < 2 * workers or in_all <= max(share, workers, (workers + more + 1) // 2)
    if workers + more >= 2 * workers:  # else `check` says so
        assert options.connections_per_network_max < options.connections_max
