"""Ports of a deployment, which no other one on the machine has, and the connections that it may hold."""

import resource
from contextlib import ExitStack

import pytest

from serve.__main__ import _PORTS, _leased_ports, most_connections


def test_two_deployments_on_a_machine_have_no_port_in_common():
    with ExitStack() as ours, ExitStack() as theirs:
        first, second = _leased_ports(ours), _leased_ports(theirs)
        assert abs(first - second) >= _PORTS
        ours.close()
        assert _leased_ports(theirs) == first


@pytest.mark.parametrize(
    ("files", "connections"), [(4096, 1365), (20_000, 6666), (1_048_576, 10_000), (resource.RLIM_INFINITY, 10_000)]
)
def test_haproxy_holds_as_many_connections_as_it_may_open_files_for(files, connections):
    assert most_connections(files) == connections
