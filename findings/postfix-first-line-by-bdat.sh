#!/usr/bin/env bash
# Guess: BDAT (RFC 3030) is another envelope for the same letter. Postfix's BDAT_README: "Internally in Postfix, there is no difference
#   between mail that was received with BDAT or with DATA."
# Reality: a "From " line on top, as every letter out of an mbox has it, becomes a field X-Mailbox-Line by DATA. By BDAT nothing looks
#   for it: it is no field, so the header ends before it. From, Subject, Message-ID and all signatures are text of a letter to which
#   Postfix adds a header of its own. The answer is 250.
# Version: Postfix 3.7.11 of Debian 12.
# Source: src/smtpd/smtpd.c: the loop that reads DATA looks at the first line (`if (first)`), bdat_cmd() does not.
# Why it matters: a client, or a proxy, that begins to say BDAT where it is offered delivers other letters than before, and no error
#   tells. Whoever passes letters on must look at the first line: take "From " away, or say DATA.
#
# As root, on Debian 12: everything is unpacked into a temporary folder, which is the programs' root. Nothing is installed.
set -euo pipefail

version=3.7.11-0+deb12u1
folder=$(mktemp -d)
root=$folder/root
trap 'chroot "$root" /usr/sbin/postfix abort > /dev/null 2>&1 || true; [ -z "${sink:-}" ] || kill "$sink"; rm -rf "$folder"' EXIT
mkdir -p "$folder/packages/partial" "$root"/{dev,etc,tmp,var/{lib/postfix,spool/postfix},usr/{bin,lib,lib64,sbin},out}
ln -s usr/bin usr/lib usr/lib64 usr/sbin "$root"
chmod 755 "$folder" "$root"
chmod 1777 "$root/tmp" "$root/out"
: > "$folder/none"

# Postfix, and all the libraries it needs, as for a machine without any package.
cd "$folder/packages"
needless='^(perl.*|lib.*-perl|dpkg|tar|passwd|adduser|debconf|usrmerge|init-system-helpers|sysvinit-utils|lsb-base|cpio|e2fsprogs|logsave|ucf|openssl|ssl-cert|sensible-utils|netbase|ca-certificates)_'
apt-get -y --print-uris -o Dir::State::status="$folder/none" -o Dir::Cache::archives="$folder/packages" --no-install-recommends \
  install "postfix=$version" dash coreutils sed grep findutils | awk '/^\x27/ {print $2}' | grep -Ev "$needless" > "$folder/list"
# shellcheck disable=SC2046  # one word for each package
apt-get -q -o APT::Sandbox::User=root download $(sed 's/_.*//; s/^postfix$/postfix='"$version"'/' "$folder/list") > /dev/null
for file in *.deb; do dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink -C "$root"; done
ldconfig -r "$root"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 444 "$root/dev/urandom" c 1 9
printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'postfix:x:901:901::/:/bin/sh' 'nobody:x:65534:65534::/:/bin/sh' > "$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'postfix:x:901:' 'postdrop:x:902:' 'nogroup:x:65534:' > "$root/etc/group"
echo 'hosts: files' > "$root/etc/nsswitch.conf"
echo '127.0.0.1 localhost' > "$root/etc/hosts"
chown 901:901 "$root/var/lib/postfix"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
next=$(free_port)
port=$(free_port)
cat > "$root/etc/postfix/main.cf" << EOF
compatibility_level = 3.6
myhostname = relay.example
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:$next
smtp_dns_support_level = disabled
inet_protocols = ipv4
alias_maps =
maillog_file = /var/log/postfix.log
maillog_file_prefixes = /var
EOF
sed -E 's/^(\S+\s+(unix|fifo|inet)\s+\S+\s+\S+\s+)[yn]/\1n/; /^smtp +inet/d' "$root/usr/share/postfix/master.cf.dist" > "$root/etc/postfix/master.cf"
grep -q '^postlog' "$root/etc/postfix/master.cf" || echo 'postlog unix-dgram n - n - 1 postlogd' >> "$root/etc/postfix/master.cf"
echo "127.0.0.1:$port inet n - n - - smtpd" >> "$root/etc/postfix/master.cf"
mkdir -p "$root/var/log"

echo "Postfix $(chroot "$root" /usr/sbin/postconf -hd mail_version)"
[ "$(chroot "$root" /usr/sbin/postconf -hd mail_version)" = 3.7.11 ]
chroot "$root" /usr/sbin/postfix start > /dev/null 2>&1

# The next server: Postfix's own sink, which writes each letter to a file.
chroot "$root" /usr/sbin/smtp-sink -u nobody -d /out/ "127.0.0.1:$next" 10 > /dev/null 2>&1 &
sink=$!

cat > "$folder/say.py" << 'EOF'
import smtplib, sys
way, letter = sys.argv[2], sys.stdin.buffer.read().replace(b"\n", b"\r\n")
client = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=20)
client.ehlo("client.example")
assert client.has_extn("chunking")
client.mail("ann@sender.example")
client.rcpt("bob@example.org")
if way == "BDAT":
    client.sock.sendall(b"BDAT %d LAST\r\n%b" % (len(letter), letter))
    code, said = client.getreply()
else:
    code, said = client.data(letter)
assert code == 250, said
EOF

# What comes out of a letter that goes in: carried WAY LETTER
carried() {
  rm -f "$root"/out/*
  printf '%b' "$2" | python3 "$folder/say.py" "$port" "$1"
  for _ in $(seq 200); do
    file=$(find "$root/out" -type f -size +0 | head -n 1)
    if [ -n "$file" ] && grep -q 'the end' "$file"; then
      tr -d '\r' < "$file" | sed '1,/^Received: from client.example/d' | sed '1,/^[^\t]/{/^\t/d}'
      return
    fi
    sleep 0.1
  done
  echo "nothing came: $(tail -n 5 "$root/var/log/postfix.log")" >&2
  return 1
}

head='From: ann@sender.example\nTo: bob@example.org\nDate: Wed, 18 Nov 2026 10:00:00 +0000\nMessage-ID: <1@sender.example>\nSubject: t\n\nthe end\n'
usual=() mbox=()
for way in DATA BDAT; do
  usual+=("$(carried "$way" "$head")")
  mbox+=("$(carried "$way" "From ann@sender.example Wed Nov 18 10:00:00 2026\n$head")")
done
printf '\n== by DATA\n%s\n\n== by BDAT\n%s\n' "${mbox[@]}"

above() { sed '/^$/,$d'; }  # the header
below() { sed '1,/^$/d'; }
[ "${usual[0]}" = "${usual[1]}" ]
above <<< "${mbox[0]}" | grep -q '^X-Mailbox-Line: From ann@sender.example'
above <<< "${mbox[0]}" | grep -q '^Subject: t$'
[ "$(above <<< "${mbox[1]}" | grep -c '^Subject: t$')" = 0 ]
below <<< "${mbox[1]}" | head -n 1 | grep -q '^From ann@sender.example'
below <<< "${mbox[1]}" | grep -q '^Subject: t$'
printf '\nas it was found\n'
