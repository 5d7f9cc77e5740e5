"""Which user of this machine is at the other end of a connection over loopback.

The kernel knows the owner of every socket. So other users are not heard, and no client needs a key:
neither git on a host, nor a person's browser.

Source: sock_diag(7), inet_diag.h.
"""

import errno
import os
import socket
import struct

from pulley.sandbox.owner import OWNER

_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _ERROR, _REQUEST = 4, 20, 2, 1
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_WANTED = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_PLACE = struct.Struct("!HH16s16s")  # the socket's own port, the other port, both addresses
_ANY_INTERFACE_OR_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
# After the header, four bytes of state, and the place: timers, queues, and then these two.
_OWNER_OFFSET = _HEADER.size + 4 + _PLACE.size + len(_ANY_INTERFACE_OR_COOKIE) + 12
_OWNER = struct.Struct("=II")  # user, inode
_ALL_STATES = 0xFFFFFFFF
_ROOT = 0
_ANSWER_BYTES = 4096


def is_ours(connection: socket.socket) -> bool:
    """Whether our user, root or the hosts' owner is at the other end. No, if nobody can say."""
    try:
        user = user_at(connection.getpeername(), connection.getsockname())
    except OSError:
        return False
    return user in {_ROOT, os.geteuid(), OWNER.pw_uid}


def can_tell_users() -> bool:
    """Whether this machine's kernel says whose a socket is."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        try:
            return user_at(client.getsockname(), client.getpeername()) == os.geteuid()
        except OSError:
            return False


def user_at(own: tuple[str, int], other: tuple[str, int]) -> int:
    """The user id of the TCP socket that is bound to `own` and connected to `other`.

    Raises OSError if there is none. One that its process has closed already belongs to nobody, and
    the kernel would say 0, which is root.
    """
    place = _PLACE.pack(own[1], other[1], socket.inet_aton(own[0]), socket.inet_aton(other[0]))
    wanted = _WANTED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, _ALL_STATES)
    asked = wanted + place + _ANY_INTERFACE_OR_COOKIE
    head = _HEADER.pack(_HEADER.size + len(asked), _SOCK_DIAG_BY_FAMILY, _REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.send(head + asked)
        answer = kernel.recv(_ANSWER_BYTES)
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind == _ERROR:
        (code,) = struct.unpack_from("=i", answer, _HEADER.size)
        raise OSError(-code, os.strerror(-code))
    user, inode = _OWNER.unpack_from(answer, _OWNER_OFFSET)
    if not inode:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
    return int(user)
