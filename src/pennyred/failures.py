"""Tell people what went wrong outside this program: a plain phrase, and what to do next.

The texts of Python and the libraries ("[Errno 111] Connect call failed", "CantOpenError", a KeyError's bare key) are
for programmers. Here errors are recognised by number or by the name of their class, so that no library must be loaded
to explain its errors.
"""

import errno
import os
import re
import socket
import ssl
from pathlib import Path

Said = tuple[str, str]
"""What is wrong, and what to do about it (may be empty)."""

_BROKEN_OFF: Said = ("the connection was broken off", "try again; is the other side well?")
_NO_ANSWER: Said = ("no answer in time", "try again later; is the address right, and does a firewall let us through?")
_NO_LISTENER: Said = ("nobody listens there", "is it running, and are address and port right?")
_NO_ROOM: Said = ("no space left on the disk", "make room there and repeat")
_NO_WAY: Said = ("there is no way there from this machine", "are the network and the address right?")
_NOT_ALLOWED: Said = ("this user may not", "run it as the owner or as root")

_BY_NUMBER: dict[int, Said] = {
    errno.ECONNREFUSED: _NO_LISTENER,
    errno.ETIMEDOUT: _NO_ANSWER,
    errno.EHOSTUNREACH: _NO_WAY,
    errno.ENETUNREACH: _NO_WAY,
    errno.ENETDOWN: _NO_WAY,
    errno.EHOSTDOWN: _NO_WAY,
    errno.ECONNRESET: _BROKEN_OFF,
    errno.ECONNABORTED: _BROKEN_OFF,
    errno.EPIPE: _BROKEN_OFF,
    errno.ENOTCONN: _BROKEN_OFF,
    errno.EADDRINUSE: ("somebody else listens there already", "stop that program, or use another port"),
    errno.EADDRNOTAVAIL: ("this machine has no such address", "use one of its own, or 0.0.0.0"),
    errno.ENOENT: ("there is no such file or folder", "is it spelt right?"),
    errno.EEXIST: ("it is there already", "move it away, or use another name"),
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EISDIR: ("it is a folder, not a file", "name a file"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "is it spelt right?"),
    errno.ENOTEMPTY: ("the folder is not empty", "use another one"),
    errno.ENAMETOOLONG: ("the name is too long", "use a shorter one"),
    errno.ELOOP: ("its symbolic links go round in a circle", "mend the links"),
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: ("the disk quota is used up", "make room there and repeat"),
    errno.EFBIG: ("the file would be larger than allowed", "raise the limit (ulimit -f), or use another disk"),
    errno.EROFS: ("the file system can only be read", "use another place, or mount it for writing"),
    errno.EIO: ("the disk does not work", "look at the system's log"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n, LimitNOFILE)"),
    errno.ENFILE: ("too many files are open on this machine", "raise fs.file-max"),
    errno.ENOMEM: ("there is not enough memory", "make room, or end another program"),
    errno.ENXIO: ("nobody is at the other end", "name a file"),
    errno.ENODEV: ("there is no such device", "name a file"),
    errno.EBUSY: ("it is in use", "try again later"),
    errno.EINVAL: ("the system does not take it", "is it spelt right?"),
    errno.ESPIPE: ("it cannot be read from its beginning", "name a file"),
}
_BY_CLASS: dict[str, Said] = {
    # aiohttp
    "ServerDisconnectedError": ("it hung up without an answer", "is that the right address and port?"),
    "ClientPayloadError": ("its answer broke off", "try again"),
    "ClientResponseError": ("its answer is not HTTP", "is that the right address and port?"),
    "InvalidURL": ("that is no address", "give one like https://post.example.org"),
    # smtplib
    "SMTPServerDisconnected": ("it hung up", "try again later; is that a mail server's port?"),
    "SMTPNotSupportedError": ("it does not offer what the letter needs", "use another server"),
    # SQLite, by apsw
    "FullError": _NO_ROOM,
    "BusyError": ("another program is using it", "try again in a moment"),
    "LockedError": ("another program is using it", "try again in a moment"),
    "NotADBError": ("it is no SQLite database", "is that the right file?"),
    "CorruptError": ("the database is damaged", "put a backup back (pennyred ledger restore)"),
    "CantOpenError": ("it cannot be opened", "does its folder exist, and may this user read and write there?"),
    "ReadOnlyError": ("this user may only read it", "run it as the file's owner"),
    "PermissionsError": _NOT_ALLOWED,
    "AuthError": _NOT_ALLOWED,
    "IOError": ("the disk does not work", "is it full, or broken? look at the system's log"),
    # PostgreSQL, by asyncpg
    "InvalidPasswordError": ("the database does not take this password", "correct it in the URL"),
    "InvalidAuthorizationSpecificationError": (
        "the database does not let this user in",
        "is the user in the URL right, and in pg_hba.conf?",
    ),
    "InvalidCatalogNameError": ("there is no such database", "make it (createdb), or correct the URL"),
    "TooManyConnectionsError": ("the database has too many clients", "raise max_connections there"),
    "CannotConnectNowError": ("the database is starting or stopping", "try again in a moment"),
    "AdminShutdownError": ("the database is stopping", "try again in a moment"),
    "CrashShutdownError": ("the database is starting anew", "try again in a moment"),
    "DiskFullError": ("the database's disk is full", "make room there"),
    "ReadOnlySQLTransactionError": ("the database takes no writing", "is that the primary?"),
    "TargetServerAttributeNotMatched": ("none of these databases takes writing", "is one of them the primary?"),
    "LockNotAvailableError": ("another program is using it", "try again in a moment"),
    "QueryCanceledError": ("the database took too long", "try again later"),
    "InsufficientPrivilegeError": ("the database does not let this user do that", "make the user its owner"),
    "ConnectionDoesNotExistError": _BROKEN_OFF,
    "InterfaceError": ("the database does not answer", "try again later"),
    "PostgresConnectionError": ("the database does not answer", "try again later"),
    # dnspython
    "NoNameservers": ("no name server has an answer (SERVFAIL or refused)", "look at the resolver's log"),
    "NoResolverConfiguration": ("this machine has no name server", "name one in /etc/resolv.conf"),
    "Timeout": ("no name server answers", "is the resolver running, and does a firewall let us through?"),
    # Python
    "JSONDecodeError": ("it is not JSON", ""),
    "UnicodeDecodeError": ("it is not UTF-8", ""),
    "UnicodeEncodeError": ("it has letters that cannot be used there", ""),
    "RecursionError": ("it is nested too deeply", ""),
    "IncompleteReadError": _BROKEN_OFF,
    "EOFError": _BROKEN_OFF,
    "TimeoutError": _NO_ANSWER,
    "ConnectionRefusedError": _NO_LISTENER,
    "ConnectionResetError": _BROKEN_OFF,
    "ConnectionAbortedError": _BROKEN_OFF,
    "BrokenPipeError": _BROKEN_OFF,
}
_BY_TLS_REASON: dict[str, Said] = {
    "WRONG_VERSION_NUMBER": ("it does not speak TLS there", "is that the right port?"),
    "HTTP_REQUEST": ("it does not speak TLS there", "is that the right port?"),
    "UNSUPPORTED_PROTOCOL": ("it speaks only an old TLS", "it has to offer TLS 1.2"),
    "NO_PROTOCOLS_AVAILABLE": ("TLS is switched off on this machine", "look at openssl.cnf"),
    "KEY_VALUES_MISMATCH": ("the key is not the certificate's", "name the two that belong together"),
    "NO_START_LINE": ("there is no certificate or key in it", "name a PEM file"),
    "NO_CERTIFICATE_OR_CRL_FOUND": ("there is no certificate in it", "name a PEM file"),
    "PEM_LIB": ("there is no certificate or no key in it", "name PEM files with both"),
    "BAD_END_LINE": ("its PEM is damaged", "copy it anew"),
    "UNEXPECTED_EOF_WHILE_READING": _BROKEN_OFF,
}
_OF_ASYNCIO = ("Connect call failed", "error while attempting", "Multiple exceptions")
_NUMBERED = re.compile(r"\[Errno (-?\d+)\] ?")
TEXT_CHARACTERS_MAX = 300
_LASTING_NUMBERS = frozenset(
    getattr(errno, name)
    for name in (
        *("EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "EISDIR", "EEXIST", "ENOTEMPTY"),
        *("EINVAL", "ELOOP", "ENAMETOOLONG", "ENODEV", "ENXIO", "ESPIPE", "EADDRNOTAVAIL"),
    )
)
_LASTING_CLASSES = frozenset(
    (
        *("FileExistsError", "FileNotFoundError", "SSLCertVerificationError", "InvalidURL"),
        *("NotADBError", "CantOpenError", "CorruptError", "ReadOnlyError", "PermissionsError", "AuthError"),
        *("InvalidPasswordError", "InvalidAuthorizationSpecificationError", "InvalidCatalogNameError"),
        "InsufficientPrivilegeError",
    )
)
_UNKNOWN_NAME = frozenset((socket.EAI_NONAME,))
_CAUSES_MAX = 10


def place_name(host: str, port: int) -> str:
    """The name of a place for people: `host:port` or `[IPv6]:port`; with port 0, `host` is a unix socket."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if port else host


def what(error: BaseException) -> str:
    """What is wrong, in words, without path, host or port, which the caller knows."""
    return said(error)[0]


def told(error: BaseException, *, is_quoting: bool = True) -> str:
    """What is wrong and what to do about it, as one text, with the path if the error has one.

    With `is_quoting` off, the error's own text is never used, as it may contain secrets.
    """
    what_is_wrong, remedy = said(error, is_quoting=is_quoting)
    path = getattr(error, "filename", None)
    where = f"{os.fsdecode(path)}: " if isinstance(path, str | bytes | os.PathLike) and path else ""
    return f"{where}{what_is_wrong}" + (f"; {remedy}" if remedy else "")


def said(error: BaseException, *, is_quoting: bool = True) -> Said:
    """What is wrong, and what to do about it; `is_quoting` as for `told`."""
    is_hung_up = type(error).__name__ == "SMTPServerDisconnected"  # smtplib raises it for a timeout as well
    inside = error.__context__ if is_hung_up else None
    for inner in (getattr(error, "certificate_error", None), getattr(error, "os_error", None), inside):
        if isinstance(inner, BaseException) and inner is not error:
            return said(inner, is_quoting=is_quoting)
    if isinstance(error, ssl.SSLError):
        return _of_tls(error)
    if isinstance(error, socket.gaierror):
        return _of_a_name(error)
    if isinstance(error, OSError) and (found := _by_number(error)):
        return _owned(error, found)
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_CLASS:
            return _BY_CLASS[kind.__name__]
    return (_plain(error) if is_quoting else _name(error)), ""


def lasts(error: BaseException) -> bool:
    """Whether the error will come again until somebody repairs its cause; else it may pass by itself."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < _CAUSES_MAX:
        causes.append(cause)
    return any(
        getattr(one, "errno", None) in (_LASTING_NUMBERS if not isinstance(one, socket.gaierror) else _UNKNOWN_NAME)
        or any(kind.__name__ in _LASTING_CLASSES for kind in type(one).__mro__)
        for one in causes
    )


def _by_number(error: OSError) -> Said | None:
    """The phrase for an OSError's number; None if it is not known.

    If several addresses were tried, their errors come as one text; the last one counts. A text that one of our own
    functions has put in place of the system's is kept.
    """
    numbers = [error.errno] if error.errno else [int(number) for number in _NUMBERED.findall(str(error))]
    found = next((_BY_NUMBER[number] for number in reversed(numbers) if number in _BY_NUMBER), None)
    own = error.strerror or ""
    is_own = bool(own) and error.errno is not None and own != os.strerror(error.errno)
    return (own, found[1]) if found and is_own and not own.startswith(_OF_ASYNCIO) else found


def _owned(error: OSError, found: Said) -> Said:
    """The phrase for a missing permission, with the user who has it, if the file tells."""
    if found is not _NOT_ALLOWED:
        return found
    owner = _owner(error.filename)
    return ("this user may not read or write it", f"run it as {owner}" if owner else "run it as its owner or as root")


def _owner(path: object) -> str:
    """The owner of the file, or of the nearest folder above it that can be seen; "" if not known."""
    if not isinstance(path, str | os.PathLike):
        return ""
    here = Path(path)
    for one in (here, *here.absolute().parents):
        try:
            name = one.owner()
        except (OSError, KeyError):
            continue
        return f"{name} or root" if name != "root" else "root"
    return ""


def _of_tls(error: ssl.SSLError) -> Said:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message or "it does not hold"
        return f"TLS: its certificate does not hold: {why}", "it has to have one for this name, from a known authority"
    if error.errno and not error.reason and (found := _by_number(error)):
        return found
    if error.reason in _BY_TLS_REASON:
        return _BY_TLS_REASON[error.reason]
    if "PEM lib" in str(error):  # the library gives no reason for this one
        return _BY_TLS_REASON["PEM_LIB"]
    why = (error.reason or "no handshake").replace("_", " ").lower()
    return f"TLS fails: {why}", ""


def _of_a_name(error: socket.gaierror) -> Said:
    if error.errno == socket.EAI_AGAIN:
        return "the DNS does not answer", "try again later; is the resolver in /etc/resolv.conf running?"
    return "there is no such name in DNS", "is it spelt right?"


def _plain(error: BaseException) -> str:
    """The error's own text, without what Python adds."""
    text = _NUMBERED.sub("", str(error.args[0] if isinstance(error, KeyError) and error.args else error)).strip()
    if isinstance(error, KeyError):
        return f"{text[:TEXT_CHARACTERS_MAX]} is missing" if text else "something is missing"
    if isinstance(error, OSError) and error.strerror and not text:
        text = error.strerror
    return text[:TEXT_CHARACTERS_MAX] or _name(error)


def _name(error: BaseException) -> str:
    """The name of the error's class, as words."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", type(error).__name__.removesuffix("Error"))
    return " ".join(word.lower() for word in words) or "something went wrong"
