"""What a configuration must know about URLs: whether they are plain http, and how to show them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

__all__ = ["is_loopback", "plain_http_origin", "without_credentials"]


def plain_http_origin(url: str) -> tuple[str, str]:
    """Origin (without credentials) and host of a plain ``http://`` URL; two empty texts for any other."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", ""
    if parts.scheme.lower() != "http" or not host:
        return "", ""
    shown_host = f"[{host}]" if ":" in host else host
    return f"http://{shown_host}" + (f":{port}" if port else ""), host


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine (RFC 6761 for ``localhost``)."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def without_credentials(url: str) -> str:
    """A URL with user name, password and query replaced by stars; a text that is no URL as it is.

    Works on the text alone, so that chained and malformed URLs are covered too.
    """
    if "://" not in url:
        return url
    return re.sub(r"\?.*", "?***", re.sub(r"://[^/\s?#]*@", "://***@", url), flags=re.DOTALL)
