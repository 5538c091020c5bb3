#!/usr/bin/env bash
# Guess: a mail server hands a line of at most 998 octets on as it came, as RFC 5321 section 4.5.3.1.6 has it, and a field of any length.
# Reality: sendmail's mailers for other servers (smtp, esmtp) hand on 990. Of a longer line, in the body or in the header, they make
#   two: "!" at the end of the first, a blank at the start of the second. And a Content- field of more than 2048 octets ends there,
#   in the letter and in each of its parts, in the middle of a file's name. Nothing is said, in no log and to nobody.
# Version: sendmail 8.17.1.9 of Debian 12, with its own settings but for a smart host.
# Source: cf/mailer/smtp.m4 (L=990), sendmail/deliver.c (putxline); op.me, MaxMimeHeaderLength and the mailer equate L=.
# Why it matters: DKIM's body hash, S/MIME, and whatever else is bound to the octets. Whoever signs must keep to 990.
#
# As root, on Debian 12: everything is unpacked into a temporary folder, which is the program's root. Nothing is installed.
set -euo pipefail

version=8.17.1.9-2+deb12u2
folder=$(mktemp -d)
root=$folder/root
trap '[ -z "${sink:-}" ] || kill "$sink" 2> /dev/null || true; rm -rf "$folder"' EXIT
mkdir -p "$folder/packages/partial" "$root"/{dev,etc/mail,tmp,var/spool/mqueue,usr/{bin,lib,lib64,sbin}}
ln -s usr/bin usr/lib usr/lib64 usr/sbin "$root"
chmod 755 "$folder" "$root"
: > "$folder/none"

# sendmail, and all the libraries it needs, as for a machine without any package.
cd "$folder/packages"
needless='^(perl.*|lib.*-perl|dpkg|tar|passwd|adduser|debconf|usrmerge|init-system-helpers|sysvinit-utils|lsb-base|cpio|e2fsprogs|logsave|ucf|openssl|ssl-cert|sensible-utils|netbase|ca-certificates|lockfile-progs|liblockfile.*|make|cron.*|procps|bsd-mailx)_'
apt-get -y --print-uris -o Dir::State::status="$folder/none" -o Dir::Cache::archives="$folder/packages" --no-install-recommends \
  install "sendmail-bin=$version" "sendmail-cf=$version" "sendmail-base=$version" m4 dash coreutils sed grep | awk '/^\x27/ {print $2}' \
  | grep -Ev "$needless" > "$folder/list"
# shellcheck disable=SC2046  # one word for each package
apt-get -q -o APT::Sandbox::User=root download $(sed 's/_.*//; s/^sendmail-\(.*\)$/sendmail-\1='"$version"'/' "$folder/list") > /dev/null
for file in *.deb; do dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink -C "$root"; done
ldconfig -r "$root"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 444 "$root/dev/urandom" c 1 9
printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'mail:x:8:8::/:/bin/sh' 'smmsp:x:901:901::/:/bin/sh' 'smmta:x:902:902::/:/bin/sh' > "$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'mail:x:8:' 'smmsp:x:901:' 'smmta:x:902:' > "$root/etc/group"
echo 'hosts: files' > "$root/etc/nsswitch.conf"
echo '127.0.0.1 localhost' > "$root/etc/hosts"
: > "$root/etc/mail/aliases"
: > "$root/etc/mail/local-host-names"

# The next server: it offers 8BITMIME, and writes the letter that comes to a file.
cat > "$folder/sink.py" << 'EOF'
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
            if verb == b"EHLO":
                self.wfile.write(b"250-sink.example\r\n")
            say({b"EHLO": b"250 8BITMIME", b"QUIT": b"221 bye"}.get(verb, b"250 ok"))
            if verb == b"QUIT":
                return

with socketserver.TCPServer(("127.0.0.1", 0), Session) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
EOF
python3 "$folder/sink.py" "$folder/came" > "$folder/port" &
sink=$!
until [ -s "$folder/port" ]; do sleep 0.1; done

cat > "$root/etc/mail/out.mc" << EOF
divert(0)dnl
OSTYPE(\`debian')dnl
undefine(\`confPID_FILE')dnl
undefine(\`confHOST_STATUS_DIRECTORY')dnl
define(\`confDOMAIN_NAME', \`out.example')dnl
define(\`confSERVICE_SWITCH_FILE', \`/etc/mail/service.switch-nodns')dnl
define(\`confDELIVERY_MODE', \`interactive')dnl
define(\`SMART_HOST', \`esmtp:[127.0.0.1]')dnl
define(\`ESMTP_MAILER_ARGS', \`TCP \$h $(cat "$folder/port")')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
EOF
chroot "$root" m4 /usr/share/sendmail/cf/m4/cf.m4 /etc/mail/out.mc > "$root/etc/mail/out.cf"
program=$(cd "$root" && find usr/libexec usr/lib usr/sbin -name sendmail -type f | head -n 1)

said=$(chroot "$root" "/$program" -C/etc/mail/out.cf -d0.1 -bt < /dev/null | sed -n 's/^Version //p' | head -n 1)
echo "sendmail $said"
[ "$said" = 8.17.1.9 ]

x() { printf "%0$1d" 0 | tr 0 x; }

# What comes out of a letter that goes in, below its Subject.
carried() {
  rm -f "$folder/came"
  printf '%b' "From: ann@out.example\nTo: bob@example.org\nDate: Wed, 18 Nov 2026 10:00:00 +0000\nMessage-ID: <1@out.example>\nMIME-Version: 1.0\nSubject: t\n$1" \
    | chroot "$root" "/$program" -C/etc/mail/out.cf -i -f ann@out.example bob@example.org > /dev/null 2>&1
  sed '1,/^Subject: t/d' "$folder/came"
}

whole=$(carried "\n$(x 990)\n")
[ "$whole" = "$(printf '\n%s' "$(x 990)")" ] && echo "a line of 990 octets: as it was"

cut=$(carried "\n$(x 998)\n")
[ "$cut" = "$(printf '\n%s!\n %s' "$(x 989)" "$(x 9)")" ] && echo "a line of 998 octets: 989 and a '!', then a blank and 9"

field=$(carried "X-Own:\n $(x 997)\n\nhi\n" | head -n 3)
[ "$field" = "$(printf 'X-Own:\n %s!\n %s' "$(x 988)" "$(x 9)")" ] && echo "a line of 998 octets of a field: the same"

names=$(for at in $(seq 0 39); do printf ';\\n filename*%d=%s' "$at" "$(x 50)"; done)
came=$(carried "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment$names\n\nhi\n--b--\n")
left=$(grep -c 'filename\*' <<< "$came")
echo "a file's name in 40 sections of 50 octets: $left sections arrive"
[ "$left" -lt 40 ] && ! grep -q 'filename\*39' <<< "$came"
