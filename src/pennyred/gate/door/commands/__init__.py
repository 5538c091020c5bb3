"""What each command does: a function of the session and the command line. One table names them all.

::

    greeting     HELO, EHLO, STARTTLS; what a trusted front tells: XCLIENT, XFORWARD
    envelope     MAIL, RCPT, RSET
    letter       DATA, BDAT
    formalities  NOOP and others that bring no letter nearer; QUIT
"""

from collections.abc import Mapping

from pennyred.gate.door.commands.envelope import mail, rcpt, rset
from pennyred.gate.door.commands.formalities import expn, help_, noop, quit_, vrfy
from pennyred.gate.door.commands.greeting import ehlo, helo, starttls, xclient, xforward
from pennyred.gate.door.commands.letter import bdat, data
from pennyred.gate.door.session import Command

COMMANDS: Mapping[bytes, Command] = {
    b"HELO": helo,
    b"EHLO": ehlo,
    b"STARTTLS": starttls,
    b"XCLIENT": xclient,
    b"XFORWARD": xforward,
    b"MAIL": mail,
    b"RCPT": rcpt,
    b"RSET": rset,
    b"DATA": data,
    b"BDAT": bdat,
    b"NOOP": noop,
    b"VRFY": vrfy,
    b"HELP": help_,
    b"EXPN": expn,
    b"AUTH": expn,
    b"ETRN": expn,
    b"QUIT": quit_,
}
"""The commands by verb, in capitals; a verb that is not here is answered "not understood"."""
