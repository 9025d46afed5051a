"""Addresses that are handed out for a while: DHCP in the office, and the pool of the VPN."""

from random import Random

from logontracks.simulate.host import Host


class Pool:
    """Addresses of one network. Who comes back gets the same one if it is free, else any: addresses are handed on."""

    def __init__(self, network: str, size: int, rng: Random) -> None:
        """`network`: the address up to its last dot."""
        self._free = [f"{network}{number}" for number in range(20, 20 + size)]
        self._last: dict[str, str] = {}
        self._rng = rng

    def lease(self, host: Host, moment: int) -> None:
        """The host has an address of this pool from now on. IndexError where none is left."""
        before = self._last.get(host.name)
        address = before if before and before in self._free else self._rng.choice(self._free)
        self._free.remove(address)
        self._last[host.name] = address
        _move(host, address, moment)

    def holds(self, host: Host) -> bool:
        """Whether the address of the host is one of this pool."""
        return bool(host.address) and self._last.get(host.name) == host.address

    def release(self, host: Host, moment: int) -> None:
        """The host has no address any more."""
        self._free.append(host.address)
        _move(host, "", moment)


def _move(host: Host, address: str, moment: int) -> None:
    host.address = address
    host.truth.lease(host, address, moment)
