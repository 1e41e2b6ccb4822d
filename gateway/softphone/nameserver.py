"""A name server on any port for PJSIP, whose own settings allow no port but 53.

An unprivileged demo cannot open port 53, and without a name server PJSIP asks the system,
which does not know the demo's domains. PJSIP's C function takes ports; the wheel exports it.
"""

import ctypes
from pathlib import Path


class _PjString(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("length", ctypes.c_ssize_t))


def use_nameserver(library_file: Path, address: str, port: int) -> None:
    """Point PJSIP's resolver at `address`:`port`; call after libInit with a name server set.

    Raises OSError where the library has no such function or refuses.
    """
    library = ctypes.CDLL(str(library_file))
    try:
        endpoint_of = library.pjsua_get_pjsip_endpt
        resolver_of = library.pjsip_endpt_get_resolver
        set_servers = library.pj_dns_resolver_set_ns
    except AttributeError as missing:
        raise OSError(f"this build of PJSIP exports no {missing}") from None
    endpoint_of.restype = resolver_of.restype = ctypes.c_void_p
    resolver_of.argtypes = (ctypes.c_void_p,)
    set_servers.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint,
        ctypes.POINTER(_PjString),
        ctypes.POINTER(ctypes.c_uint16),
    )
    text = address.encode("ascii")
    servers = (_PjString * 1)(_PjString(text, len(text)))
    ports = (ctypes.c_uint16 * 1)(port)
    status = set_servers(resolver_of(endpoint_of()), 1, servers, ports)
    if status != 0:
        raise OSError(f"PJSIP refused the name server {address}:{port} (status {status})")
