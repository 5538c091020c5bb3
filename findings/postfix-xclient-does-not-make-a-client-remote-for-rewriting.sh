#!/usr/bin/env bash
# Guess:   once a proxy on loopback has said XCLIENT ADDR=..., Postfix takes the client for that stranger in everything: access
#          rules, Received, and whether its letter is completed (local_header_rewrite_clients, by default permit_inet_interfaces).
# Reality: rules and Received do, header rewriting does not: permit_inet_interfaces looks at the socket's address, which XCLIENT
#          leaves alone. So To: postmaster gets our domain, a missing Date and Message-Id are added, and the stranger's DKIM
#          signature, which covered the letter as it was, no longer holds. By PROXY (smtpd_upstream_proxy_protocol) it is right.
# Version: Debian 12's postfix 3.7.11-0+deb12u1 (the source of 3.12 is the same in this).
# Source:  run; src/smtpd/smtpd_check.c (permit_inet_interfaces: own_inet_addr(state->sockaddr)), XCLIENT_README, postconf(5).
# Why:     every content filter or gate that hands letters to Postfix over loopback breaks DKIM for whoever checks behind it, and
#          nothing in any log says so. `-o local_header_rewrite_clients=` on that listener mends it.
# Needs root and Debian 12: the package is unpacked, with the libraries it needs, into a folder that becomes its root.
set -euo pipefail

pinned=3.7.11-0+deb12u1
folder=$(mktemp -d)
root=$folder/root
master=0
cleanup() {
  [ "$master" = 0 ] || kill "$master" 2> /dev/null || true
  wait
  rm -rf "$folder"
}
trap cleanup EXIT
chmod 755 "$folder"

mkdir -p "$folder"/{debs,none/partial} "$root"/{dev,etc,home,proc,root,run,tmp,usr/{bin,lib,lib64,sbin},var/{lib,log,mail,spool}}
ln -s usr/bin usr/lib usr/lib64 usr/sbin "$root"
: > "$folder/installed"
cd "$folder/debs"
files=$(apt-get -y --print-uris -o Dir::State::status="$folder/installed" -o Dir::Cache::archives="$folder/none" \
  --no-install-recommends install "postfix=$pinned" | awk '/^\x27/ {print $2}' | grep -E '^(lib|zlib|postfix_)' | grep -v -- -perl)
# shellcheck disable=SC2046  # one word for each package
apt-get -q -q -o APT::Sandbox::User=root download "postfix=$pinned" $(for file in $files; do echo "${file%%_*}"; done | grep -vx postfix) > /dev/null 2>&1
for deb in *.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"; done
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 444 "$root/dev/urandom" c 1 9
printf 'root:x:0:0::/root:/bin/sh\npostfix:x:901:901::/var/spool/postfix:/bin/false\nvmail:x:903:903::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n' > "$root/etc/passwd"
printf 'root:x:0:\npostfix:x:901:\npostdrop:x:902:\nvmail:x:903:\nnogroup:x:65534:\n' > "$root/etc/group"
printf '127.0.0.1 localhost\n' > "$root/etc/hosts"
printf 'smtp 25/tcp\nlmtp 24/tcp\n' > "$root/etc/services"
mkdir -p "$root/var/lib/postfix" "$root/var/mail/v" "$root"/var/spool/postfix/{active,bounce,corrupt,defer,deferred,flush,hold,incoming,maildrop,pid,private,public,saved,trace}
chown 901 "$root/var/lib/postfix" "$root"/var/spool/postfix/*
chown 0 "$root/var/spool/postfix/pid"
chgrp 902 "$root"/var/spool/postfix/{maildrop,public}
chown 903:903 "$root/var/mail/v"
ldconfig -r "$root"

read -r plain kept by_proxy < <(python3 - <<'PORTS'
import socket
found = [socket.socket() for _ in range(3)]
for one in found:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in found))
PORTS
)
cat > "$root/etc/postfix/main.cf" <<CONFIG
compatibility_level = 3.6
maillog_file = /var/log/maillog
maillog_file_prefixes = /var
myhostname = mx.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = example.org
virtual_mailbox_base = /var/mail/v
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:903
virtual_gid_maps = static:903
smtpd_relay_restrictions = reject_unauth_destination
smtpd_authorized_xclient_hosts = 127.0.0.1
mynetworks =
alias_maps =
CONFIG
cat > "$root/etc/postfix/master.cf" <<CONFIG
127.0.0.1:$plain inet n - n - - smtpd
127.0.0.1:$kept inet n - n - - smtpd
    -o local_header_rewrite_clients=
127.0.0.1:$by_proxy inet n - n - - smtpd
    -o smtpd_upstream_proxy_protocol=haproxy
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
CONFIG
chroot "$root" /usr/lib/postfix/sbin/master -c /etc/postfix -d > "$folder/start" 2>&1 &
master=$!
for _ in $(seq 100); do
  ! (: > "/dev/tcp/127.0.0.1/$plain") 2> /dev/null || break
  kill -0 "$master" 2> /dev/null || { echo "FAIL: it does not start"; cat "$folder/start"; exit 1; }
  sleep 0.1
done
version=$(chroot "$root" /usr/sbin/postconf -h mail_version)
echo "version: $version"
[ "$version" = 3.7.11 ] || { echo "FAIL: not 3.7.11"; exit 1; }

python3 - "$root/var/mail/v/box" "$plain" "$kept" "$by_proxy" <<'TEST'
import pathlib, smtplib, socket, sys, time

box, *ports = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])
LETTER = "From: Ann <ann@sender.example>\r\nTo: postmaster\r\nSubject: Tea\r\n\r\nShall we have tea?\r\n"


def delivered(port, is_proxied=False):
    smtp = smtplib.SMTP(timeout=20)
    smtp._host = "localhost"
    smtp.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    if is_proxied:
        smtp.sock.sendall(b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 25\r\n")
    assert smtp.getreply()[0] == 220
    smtp.ehlo("client.example")
    if not is_proxied:
        assert smtp.docmd("XCLIENT ADDR=198.51.100.7 NAME=[UNAVAILABLE]")[0] == 220
        smtp.ehlo("client.example")
    before = set(box.glob("new/*"))
    smtp.sendmail("ann@sender.example", ["bob@example.org"], LETTER)
    smtp.quit()
    end = time.monotonic() + 20
    while not (new := set(box.glob("new/*")) - before) and time.monotonic() < end:
        time.sleep(0.1)
    [file] = new
    text = file.read_text()
    assert "[198.51.100.7]" in text, "it knows the client by this address:\n" + text
    return text


def what(text):
    changes = [
        name
        for name, is_so in (
            ("To completed", "To: postmaster@mx.example.org" in text),
            ("Date added", "\nDate: " in text),
            ("Message-Id added", "\nMessage-Id: " in text),
        )
        if is_so
    ]
    return ", ".join(changes) or "nothing"


failed = False
for name, text, expected in (
    ("a stranger by XCLIENT", delivered(ports[0]), "To completed, Date added, Message-Id added"),
    ("the same with local_header_rewrite_clients=", delivered(ports[1]), "nothing"),
    ("a stranger by PROXY", delivered(ports[2], is_proxied=True), "nothing"),
):
    found = what(text)
    print(f"{name}: {found}")
    failed |= found != expected
sys.exit("FAIL: it is otherwise" if failed else "" or 0)
TEST
echo "as described"
