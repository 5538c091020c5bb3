#!/usr/bin/env bash
# Guess: a mail server converts a letter to quoted-printable only where it has eight-bit octets and the next server lacks 8BITMIME
#   (RFC 6152); what is ASCII already goes on as it came.
# Reality: Postfix goes by the label. A part that says "Content-Transfer-Encoding: 8bit" (as many programs say of every text) is
#   encoded anew though all of it is ASCII: "=" becomes "=3D". Within multipart/signed as well, so S/MIME and OpenPGP signatures
#   break; DKIM's body hash breaks, and whatever else is bound to the body. The same letter that says 7bit, or nothing, is left.
# Version: Postfix 3.7.11 of Debian 12.
# Source: postconf(5), disable_mime_output_conversion; src/global/mime_state.c, where the domain is the label's, not the text's.
# Why it matters: whoever signs or stamps a letter, and is careful to make it seven-bit first, must change the label too.
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
cat > "$root/etc/postfix/main.cf" << EOF
compatibility_level = 3.6
myhostname = relay.example
mydestination =
relayhost = [127.0.0.1]:$next
smtp_dns_support_level = disabled
inet_protocols = ipv4
alias_maps =
maillog_file = /var/log/postfix.log
maillog_file_prefixes = /var
EOF
sed -E 's/^(\S+\s+(unix|fifo|inet)\s+\S+\s+\S+\s+)[yn]/\1n/; /^smtp +inet/d' "$root/usr/share/postfix/master.cf.dist" > "$root/etc/postfix/master.cf"
grep -q '^postlog' "$root/etc/postfix/master.cf" || echo 'postlog unix-dgram n - n - 1 postlogd' >> "$root/etc/postfix/master.cf"
mkdir -p "$root/var/log"

echo "Postfix $(chroot "$root" /usr/sbin/postconf -hd mail_version)"
[ "$(chroot "$root" /usr/sbin/postconf -hd mail_version)" = 3.7.11 ]
chroot "$root" /usr/sbin/postfix start > /dev/null 2>&1

# The next server: Postfix's own sink, which does not announce 8BITMIME, and writes each letter to a file.
chroot "$root" /usr/sbin/smtp-sink -8 -u nobody -d /out/ "127.0.0.1:$next" 10 > /dev/null 2>&1 &
sink=$!

# What comes out of a letter that goes in.
carried() {
  rm -f "$root"/out/*
  printf '%b' "$1" | chroot "$root" /usr/sbin/sendmail -i -f ann@sender.example bob@example.org
  for _ in $(seq 200); do
    file=$(find "$root/out" -type f -size +0 | head -n 1)
    if [ -n "$file" ] && grep -q 'the end' "$file"; then
      tr -d '\r' < "$file" | grep -A 20 '^Subject: t' | tail -n +2
      return
    fi
    sleep 0.1
  done
  echo "nothing came: $(tail -n 5 "$root/var/log/postfix.log")" >&2
  return 1
}

head='From: ann@sender.example\nTo: bob@example.org\nDate: Wed, 18 Nov 2026 10:00:00 +0000\nMessage-ID: <1@sender.example>\nMIME-Version: 1.0\nSubject: t\n'
labelled=$(carried "${head}Content-Transfer-Encoding: 8bit\n\n1 + 1 = 2\nthe end\n")
plain=$(carried "${head}Content-Transfer-Encoding: 7bit\n\n1 + 1 = 2\nthe end\n")
signed=$(carried "${head}Content-Type: multipart/signed; boundary=b\n\n--b\nContent-Transfer-Encoding: 8bit\n\n1 + 1 = 2\n--b\n\nthe end\n--b--\n")
printf '\n== ASCII that says 8bit\n%s\n\n== ASCII that says 7bit\n%s\n\n== the first part of multipart/signed, ASCII that says 8bit\n%s\n\n' "$labelled" "$plain" "$signed"

grep -q '^Content-Transfer-Encoding: quoted-printable$' <<< "$labelled"
grep -q '^1 + 1 =3D 2$' <<< "$labelled"
grep -q '^Content-Transfer-Encoding: 7bit$' <<< "$plain"
grep -q '^1 + 1 = 2$' <<< "$plain"
grep -q '^1 + 1 =3D 2$' <<< "$signed"
echo "as it was found"
