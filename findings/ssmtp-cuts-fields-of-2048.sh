#!/usr/bin/env bash
# Guess: a program that hands letters on to a mail server hands on the whole header, or says that it cannot.
# Reality: ssmtp ends each header field after some 2,045 octets, name and line breaks (CRLF) included, in the middle of an address or of a
#   signature. It says nothing, its exit status is 0, and the rest of the letter arrives as it was.
# Version: ssmtp 2.64-11 of Debian 12.
# Source: ssmtp.c, smtp_write(): vsnprintf into a buffer of BUF_SZ (2,048), whose result is looked at for -1 only.
# Why it matters: To of some 70 people loses the others, so "reply to all" does; a field that DKIM signs breaks; a field that
#   carries several signatures or tokens (ARC, Autocrypt, postage) is void. Who may meet ssmtp keeps each field below 2,000.
#
# On Debian 12, as anybody: two packages are unpacked into a temporary folder. Nothing is installed.
set -euo pipefail

version=2.64-11
folder=$(mktemp -d)
trap '[ -z "${sink:-}" ] || kill "$sink" 2> /dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download "ssmtp=$version" libgnutls-openssl27 libgnutls30 > /dev/null
for file in *.deb; do dpkg-deb -x "$file" tree; done
LD_LIBRARY_PATH=$(dirname "$(find "$folder/tree" -name 'libgnutls-openssl.so.27' | head -n 1)")
export LD_LIBRARY_PATH

# The mail server: it writes the letter that comes to a file.
cat > sink.py << 'EOF'
import socketserver, sys

class Session(socketserver.StreamRequestHandler):
    def handle(self):
        say = lambda text: self.wfile.write(text + b"\r\n")
        say(b"220 sink.example")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                say(b"354 go on")
                letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                open(sys.argv[1], "wb").write(letter.replace(b"\r\n", b"\n"))
            say({b"QUIT": b"221 bye"}.get(verb, b"250 ok"))
            if verb == b"QUIT":
                return

with socketserver.TCPServer(("127.0.0.1", 0), Session) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
EOF
python3 sink.py "$folder/came" > port &
sink=$!
until [ -s port ]; do sleep 0.1; done
printf '%s\n' "mailhub=127.0.0.1:$(cat port)" 'hostname=out.example' 'FromLineOverride=YES' > ssmtp.conf

said=$(tree/usr/sbin/ssmtp -V 2>&1 || true)
echo "$said ($version)"
[[ $said == "sSMTP 2.64"* ]]

# What arrives of a field that is sent.
carried() {
  rm -f came
  printf 'From: ann@out.example\nTo: bob@example.org\n%s\nSubject: t\n\nhi\n' "$1" \
    | tree/usr/sbin/ssmtp "-C$folder/ssmtp.conf" -fann@out.example bob@example.org
  grep -q '^Subject: t' came
  grep -q '^hi' came
  sed -n '/^X-Own:/,/^[^X ]/p' came | sed '$d'
}

# A field of a given length, in lines of 50 octets and their folds.
field() { printf 'X-Own:'; for _ in $(seq "$1"); do printf '\n %s' "$(printf '%049d' 0 | tr 0 x)"; done; }

short=$(field 39)
[ "$(carried "$short")" = "$short" ]
echo "a field of ${#short} octets, and 39 for the CRs: as it was"

long=$(field 60)
came=$(carried "$long")
echo "a field of ${#long} octets: ${#came} arrive"
[ "${#came}" -gt 1995 ]
[ "${#came}" -lt 2048 ]
[ "${long#"$came"}" != "$long" ]
echo "its beginning, cut in the middle of a line; Subject and text below it, and exit status 0"
