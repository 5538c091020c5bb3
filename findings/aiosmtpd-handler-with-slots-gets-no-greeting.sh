#!/usr/bin/env bash
# Guess: a handler of aiosmtpd may be any object; a dataclass with `slots=True` does as well as one without. And a server that fails says so.
# Reality: with Debian 12's Python each client's connection is accepted and closed at once, without a greeting. Nothing is logged, nothing raised.
#   Before 3.11.3 `dataclass(slots=True)` leaves the `__weakref__` of the class without slots in the one with slots, where reading it raises
#   TypeError. aiosmtpd's constructor reads all of a handler's attributes (`inspect.getmembers`), once a connection. And what a protocol's
#   factory raises, asyncio tells in its debug mode only.
# Version: Python 3.11.2-6+deb12u8 of Debian 12 (3.11.7 is well), aiosmtpd 1.4.6.
# Source: CPython's issue 102069 (Lib/dataclasses.py, _add_slots); aiosmtpd/smtp.py, SMTP.__init__, `_auth_methods`;
#   Lib/asyncio/selector_events.py, _accept_connection2: `if self._debug`.
# Why it matters: a content filter or a mail server for tests that works on its developer's machine takes no mail on Debian 12: its clients see
#   a lost connection, keep the mail in their queues, and no log on either side names the cause.
#
# On Debian 12, as anybody: packages are unpacked into a temporary folder. Nothing is installed.
set -euo pipefail

debian=3.11.2-6+deb12u8
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download \
  "python3.11-minimal=$debian" "libpython3.11-minimal=$debian" "libpython3.11-stdlib=$debian" > /dev/null
for file in *.deb; do dpkg-deb -x "$file" tree; done
python3 -m venv new > /dev/null
new/bin/pip install -q --disable-pip-version-check --target wheels aiosmtpd==1.4.6 attrs==25.3.0 atpublic==5.1 > /dev/null
debians_python() { PYTHONHOME=$folder/tree/usr PYTHONPATH=$folder/wheels tree/usr/bin/python3.11 "$@"; }

said=$(debians_python -c 'import sys; print(sys.version.split()[0])')
echo "Python $said ($debian), aiosmtpd $(debians_python -c 'import aiosmtpd; print(aiosmtpd.__version__)')"
[ "$said" = 3.11.2 ]

# Which greeting a client hears, and what the server's side has to say about it, all logs open.
cat > hear.py << 'EOF'
import asyncio
import logging
import sys
from dataclasses import dataclass

from aiosmtpd.smtp import SMTP

logging.basicConfig(level=logging.DEBUG, format="log: %(message)s", stream=sys.stdout)
for noisy in ("asyncio", "mail.log"):
    logging.getLogger(noisy).setLevel(logging.WARNING)


@dataclass(slots=sys.argv[1] == "slots")
class Handler:
    letters: int = 0

    async def handle_DATA(self, server, session, envelope):
        self.letters += 1
        return "250 ok"


async def main():
    loop = asyncio.get_running_loop()
    loop.set_debug(len(sys.argv) > 2)
    loop.set_exception_handler(lambda _, what: print("loop:", what["message"], "-", what.get("exception")))
    handler = Handler()
    server = await loop.create_server(lambda: SMTP(handler, hostname="mx.example"), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    if len(sys.argv) > 2:  # there the connection stays open for as long as the error is kept
        await asyncio.sleep(1)
    else:
        print("greeting:", (await reader.readline()).decode().strip() or "none, the connection is closed")
    writer.close()
    server.close()


asyncio.run(main())
EOF

plain=$(debians_python hear.py plain)
echo "a dataclass without slots: $plain"
[[ $plain == "greeting: 220 mx.example "* ]]

slots=$(debians_python hear.py slots 2>&1)
echo "with slots: $slots"
[ "$slots" = "greeting: none, the connection is closed" ]

told=$(debians_python hear.py slots debug 2>&1)
echo "with slots, and asyncio in debug mode:"
echo "$told"
grep -q "^loop: .*descriptor '__weakref__' for 'Handler' objects doesn't apply to a 'Handler' object" <<< "$told"
