"""The networks that count as one client, for limits by address."""

import ipaddress

# RFC 6177 §2: a home gets at least a /64, so all of its addresses count as one client; a site gets
# at most a /48, in bits.
_HOME_BITS = 64
_SITE_BITS = 48


def network(address: str) -> str:
    """The network of one client around an address.

    "" if the text is not an address.
    """
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
    """The largest network that one client may have, around its `network`.

    "" for IPv4.
    """
    if ":" not in home:
        return ""
    return str(ipaddress.IPv6Network(home).supernet(new_prefix=_SITE_BITS))
