"""Addresses that an environment of Container Apps can be placed in, as CIDR notation has them. Pure."""

import ipaddress

from components.limits_azure import (
    CONTAINER_APPS_REPLICAS_PER_ADDRESS,
    CONTAINER_APPS_RESERVED,
    CONTAINER_APPS_SUBNET,
    CONTAINER_APPS_SUBNET_OWN,
)

# RFC 1918 and RFC 6598: addresses that nobody has on the internet.
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")


def problem(addresses: str) -> str | None:
    """What is wrong with a range for a network of the stack's own, None for one that can be."""
    try:
        held = ipaddress.IPv4Network(addresses, strict=False)
    except ValueError:
        return "use a range of IPv4 addresses, 10.8.0.0/26, say"
    if str(held) != addresses:
        return f"is no range's beginning and length: use {held}"
    if not any(held.subnet_of(ipaddress.IPv4Network(each)) for each in PRIVATE):
        return f"use a private range, one inside of {', '.join(PRIVATE)} (RFC 1918, RFC 6598)"
    if held.prefixlen not in CONTAINER_APPS_SUBNET:
        return f"use /{CONTAINER_APPS_SUBNET.low:g} to /{CONTAINER_APPS_SUBNET.high:g} ({CONTAINER_APPS_SUBNET.source})"
    kept = overlapped(held)
    return None if kept is None else f"overlaps {kept}, which Container Apps keeps: use another range ({CONTAINER_APPS_SUBNET.source})"


def overlapped(held: ipaddress.IPv4Network) -> str | None:
    """The range of the platform's own that these addresses overlap, None where there is none."""
    return next((each for each in CONTAINER_APPS_RESERVED if held.overlaps(ipaddress.IPv4Network(each))), None)


def replicas(prefix: int) -> int:
    """Replicas of the consumption profile, those without a GPU, that a subnet of so many bits of prefix has room for (the table of the same
    page): half of the addresses that are left stay free for the next revision."""
    left = (1 << (32 - prefix)) - CONTAINER_APPS_SUBNET_OWN
    return max(left, 0) // 2 * CONTAINER_APPS_REPLICAS_PER_ADDRESS


def longest_prefix(wanted: int) -> int:
    """Bits of prefix of the smallest subnet with room for so many replicas."""
    return next(bits for bits in range(int(CONTAINER_APPS_SUBNET.high), 0, -1) if replicas(bits) >= wanted)
