"""Ports of a deployment, which no other one on the machine has."""

from contextlib import ExitStack

from serve.__main__ import _PORTS, _leased_ports


def test_two_deployments_on_a_machine_have_no_port_in_common():
    with ExitStack() as ours, ExitStack() as theirs:
        first, second = _leased_ports(ours), _leased_ports(theirs)
        assert abs(first - second) >= _PORTS
        ours.close()
        assert _leased_ports(theirs) == first
