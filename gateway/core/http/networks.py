"""The networks that one client may have, around an address: what limits by address count."""

import ipaddress

# RFC 6177 §2: a home gets a /64 at the least, so one client has all the addresses in it; and a site
# gets a /48 at the most, which has as many of these.
_HOME_BITS = 64
_SITE_BITS = 48


def network(address: str) -> str:
    """What one client has of the addresses around this one; nothing, if it is none."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _HOME_BITS), strict=False))


def site(home: str) -> str:
    """The largest network that may be one client's, around its `network`; nothing for IPv4."""
    if ":" not in home:
        return ""
    return str(ipaddress.IPv6Network(home).supernet(new_prefix=_SITE_BITS))
