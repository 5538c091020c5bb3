"""Who has written to whom, out of logs and lists."""

import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.maillogs import reading
from pennyred.gate.maillogs.reading import MailLog, Skipped, read_pair, read_pairs
from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import MalformedAddress

TODAY = date(2026, 11, 23)
DAY = (TODAY - date(1970, 1, 1)).days
POSTFIX = """\
Nov 20 10:00:00 mx postfix/submission/smtpd[5]: 4AbCdE1z: client=laptop[192.0.2.9], sasl_username=ann
Nov 20 10:00:00 mx postfix/cleanup[6]: 4AbCdE1z: message-id=<1@example.org>
Nov 20 10:00:00 mx postfix/qmgr[7]: 4AbCdE1z: from=<Ann@Example.org>, size=512, nrcpt=3 (queue active)
Nov 20 10:00:01 mx postfix/smtp[8]: 4AbCdE1z: to=<carl@friends.example>, orig_to=<carl@friends.example>, relay=mx[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 Ok)
Nov 20 10:00:01 mx postfix/smtp[8]: 4AbCdE1z: to=<gone@friends.example>, relay=mx[192.0.2.1]:25, dsn=5.1.1, status=bounced (550 no)
Nov 20 10:00:01 mx postfix/smtp[8]: 4AbCdE1z: to=<slow@friends.example>, relay=none, dsn=4.4.1, status=deferred (connect)
Nov 20 10:00:01 mx postfix/lmtp[8]: 4AbCdE1z: to=<bob@example.org>, relay=mx[private/lmtp], dsn=2.0.0, status=sent (250 Ok)
Nov 20 10:00:02 mx postfix/qmgr[7]: 4AbCdE1z: removed
2026-11-21T10:00:00.123456+00:00 mx postfix/qmgr[7]: 9F3A2: from=<stranger@evil.example>, size=512, nrcpt=1 (queue active)
2026-11-21T10:00:01.123456+00:00 mx postfix/smtp[8]: 9F3A2: to=<someone@else.example>, relay=mx[192.0.2.1]:25, status=sent (250 Ok)
2026-11-21T10:00:00.123456+00:00 mx postfix-out/qmgr[7]: 8F3A2: from=<bob@example.org>, size=512, nrcpt=1 (queue active)
2026-11-21T10:00:01.123456+00:00 mx postfix-out/relay/smtp[8]: 8F3A2: to=<"odd one"@else.example>, relay=mx[192.0.2.1]:25, status=sent (250 Ok)
Nov 21 10:00:01 mx postfix/smtp[8]: UNKNOWN1: to=<x@else.example>, relay=mx[192.0.2.1]:25, status=sent (250 Ok)
Nov 21 10:00:01 mx postfix/qmgr[7]: NULLNULL: from=<>, size=512, nrcpt=1 (queue active)
"""
EXIM = """\
2026-11-20 10:00:00 1sxGhi-000abC-1X <= ann@example.org H=laptop [192.0.2.9] P=esmtpsa S=512
2026-11-20 10:00:01 1sxGhi-000abC-1X => carl@friends.example R=dnslookup T=remote_smtp H=mx [192.0.2.1] C="250 ok"
2026-11-20 10:00:01 1sxGhi-000abC-1X -> Dora <dora@friends.example> R=dnslookup T=remote_smtp
2026-11-20 10:00:01 1sxGhi-000abC-1X ** gone@friends.example R=dnslookup T=remote_smtp: 550
2026-11-20 10:00:01 1tAbCd-000000012Ab-4XyZ <= bob@example.org H=laptop P=esmtpsa S=512
2026-11-20 10:00:01 1tAbCd-000000012Ab-4XyZ => bobby <bobby@else.example> R=dnslookup T=remote_smtp
2026-11-20 10:00:01 1tAbCd-000000012Ab-4XyZ Completed
"""


def pairs(text: str, *domains: str) -> list[tuple[str, str, int]]:
    log = MailLog(frozenset(domains or ("example.org",)), TODAY)
    wrote = [log.read(line) for line in text.splitlines()]
    return [(one.user.canonical, one.other.canonical, one.day) for one in wrote if one is not None]


def test_postfix_tells_what_of_ours_was_sent_to_whom_and_on_which_day():
    assert pairs(POSTFIX) == [
        ("ann@example.org", "carl@friends.example", DAY - 3),
        ("bob@example.org", "odd one@else.example", DAY - 2),
    ]


def test_exim_does_too():
    assert pairs(EXIM)[0] == ("ann@example.org", "carl@friends.example", DAY - 3)
    assert ("bob@example.org", "bobby@else.example", DAY - 3) in pairs(EXIM)
    assert not any("gone" in other for _, other, _ in pairs(EXIM))


@pytest.mark.parametrize(
    "lines",
    [
        (
            "Nov 23 10:00:00 mx postfix/cleanup[311]: 4A1B2C: message-id=<a@evil.example> postfix/qmgr[1]: ABCDEF: from=<bob@example.org>,\n"
            "Nov 23 10:00:05 mx postfix/cleanup[311]: 4A1B2D: message-id=<b@evil.example> postfix/smtp[1]: ABCDEF: to=<x@evil.example>, status=sent "
        ),
        (
            "Nov 23 10:00:00 mx postfix/qmgr[1]: ABCDEF: from=<bob@example.org>, size=5\n"
            "Nov 23 10:00:05 mx postfix/smtp[1]: ABCDEF: to=<x@evil.example>, relay=mx[192.0.2.1]:25, status=bounced (host said: 550 no, status=sent (250"
        ),
        (
            "Nov 23 10:00:00 mx evil postfix/qmgr[1]: ABCDEF: from=<bob@example.org>, size=5\n"
            "Nov 23 10:00:05 mx postfix/smtp[1]: ABCDEF: to=<x@evil.example>, relay=mx[192.0.2.1]:25, status=sent (250"
        ),
    ],
    ids=["in a Message-ID", "in a reply", "in a host's name"],
)
def test_what_strangers_can_write_into_a_log_teaches_nothing(lines):
    assert pairs(lines) == []


EXIMS_ID = "1sxGhi-000abC-1X"
TAKEN = f"2026-11-20 10:00:00 {EXIMS_ID} <= ann@example.org H=laptop [192.0.2.9] P=esmtpsa S=512\n"
SENT = f"2026-11-20 10:00:01 {EXIMS_ID} => "
ROUTE = " R=out T=remote H=mx [192.0.2.1]"


@pytest.mark.parametrize(
    ("delivery", "others"),
    [
        ("carl@friends.example" + ROUTE, ["carl@friends.example"]),
        ('carl@friends.example R=out T=remote C="250 ok <x@bank.example>"', ["carl@friends.example"]),
        ("carl@friends.example F=<ann@example.org> P=<ann@example.org>" + ROUTE, ["carl@friends.example"]),
        ("carl@friends.example F=<ann@example.org> Q=slow P=<>" + ROUTE, ["carl@friends.example"]),
        ("carl@friends.example F=<stranger@evil.example>" + ROUTE, []),
        ("carl@friends.example F=<>" + ROUTE, []),
        ("carl@friends.example <Carl@old.friends.example>" + ROUTE, ["carl@old.friends.example"]),
        ("c@friends.example (b@example.org, d@example.org) <e@friends.example>" + ROUTE, ["e@friends.example"]),
        ("carl <carl@friends.example>" + ROUTE, ["carl@friends.example"]),
        ("carl@friends.example <info@example.org>" + ROUTE, []),
        ("bob <bob@example.org> R=local T=local", []),
        ("|/usr/bin/procmail -d bob <bob@example.org> R=local T=pipe", []),
        ('odd one@x.example <"odd one"@x.example>' + ROUTE, ["odd one@x.example"]),
        ('odd one@x.example <"Odd One"@x.example> F=<ann@example.org>' + ROUTE, ["odd one@x.example"]),
        ('a\\b@x.example <"a\\\\b"@x.example>' + ROUTE, ["a\\b@x.example"]),
        ("carl@friends.example", []),
        ("carl@friends.example R=out", []),
        ("odd one@x.example" + ROUTE, []),
    ],
)
def test_exims_lines_say_who_was_addressed_and_not_whom_an_alias_led_to(delivery, others):
    assert [other for _, other, _ in pairs(TAKEN + SENT + delivery)] == others


@pytest.mark.parametrize(
    "local",
    [
        "x@bank.example R=a T=b",
        "x@bank.example F=<ann@example.org> R=a T=b",
        "x <x@bank.example> R=a T=b",
        "x@bank.example <x@bank.example> R=a T=b ",
        'x y@bank.example <"x y"@bank.example> R=a T=b',
        'x@bank.example R=a T=b C="',
        "carl <x@bank.example> T=b:",
    ],
)
@pytest.mark.parametrize("fields", [ROUTE, " F=<ann@example.org> P=<ann@example.org>" + ROUTE])
@pytest.mark.parametrize("write", [str, str.lower], ids=["caseful_local_part", "by default"])
def test_an_address_that_looks_like_a_line_of_exims_names_nobody_else(local, fields, write):
    """Exim writes the address as it is, then as it was quoted."""
    quoted = local.replace('"', '\\"')
    lines = f'{TAKEN}{SENT}{write(local)}@evil.example <"{quoted}"@evil.example>{fields}'
    assert [other for _, other, _ in pairs(lines)] in ([], [f"{local.lower()}@evil.example"])


@pytest.mark.parametrize(
    "told",
    [
        'to=<"x@bank.example>, relay=none, delay=1, status=sent (250"@evil.example>, relay=mx[192.0.2.1]:25, status=sent (ok)',
        "to=<x@bank.example>, relay=none, delay=1, status=sent (250@evil.example>, relay=mx[192.0.2.1]:25, status=sent (ok)",
        "to=<x@bank.example>, relay=none, delay=1, status=sent (250@evil.example>, relay=mx[192.0.2.1]:25, status=bounced (no)",
    ],
)
def test_an_address_that_looks_like_a_line_of_postfixs_names_nobody_else(told):
    """With quotes, and as Postfix before 3.5 has written it."""
    begun = "Nov 20 10:00:00 mx postfix/qmgr[7]: ABCDEF: from=<ann@example.org>, size=5, nrcpt=1 (queue active)\n"
    found = pairs(f"{begun}Nov 20 10:00:00 mx postfix/smtp[7]: ABCDEF: {told}")
    assert not any(other.endswith("@bank.example") for _, other, _ in found)


@pytest.mark.parametrize(
    "line",
    [
        "Nov 20 10:00:00 mx exim[7]: [2/2] {sent}",
        "Nov 20 10:00:00 mx exim[7]: [3\\3] {sent}",
        "Nov 20 10:00:00 mx dovecot: {sent}",
        "Nov 20 10:00:00 dovecot: exim[7]: {sent}",
        "Nov 20 10:00:00 mx a.b exim[7]: {sent}",
        "2026-11-20 10:00:00 rejected EHLO: {sent}",
        "{sent} ",
    ],
)
def test_what_others_or_strangers_have_written_is_no_line_of_the_mail_servers(line):
    found = pairs(TAKEN + line.replace("{sent}", f"{EXIMS_ID} => x@bank.example{ROUTE}"))
    assert found == []


def test_the_first_piece_of_a_line_that_exim_has_cut_for_syslog_is_read():
    front = "Nov 20 10:00:00 mx exim[7]: "
    lines = f'{front}{TAKEN}{front}[1/2] {SENT}carl@friends.example{ROUTE} C="250 {"x" * 800}'
    assert pairs(lines) == [("ann@example.org", "carl@friends.example", DAY - 3)]


def test_an_alias_of_ours_makes_nobody_a_correspondent_whoever_says_to_be_our_user():
    lines = POSTFIX.replace("orig_to=<carl@friends.example>", "orig_to=<club@example.org>")
    assert "carl@friends.example" not in [other for _, other, _ in pairs(lines)]
    lines = POSTFIX.replace("orig_to=<carl@friends.example>", "orig_to=<club>")
    assert "carl@friends.example" not in [other for _, other, _ in pairs(lines)]


FILTERED = """\
Nov 20 10:00:00 mx postfix/smtpd[5]: 4AbCdE1z: client=far.example[192.0.2.9]
Nov 20 10:00:00 mx postfix/cleanup[6]: 4AbCdE1z: message-id=<1@evil.example>
Nov 20 10:00:00 mx postfix/qmgr[7]: 4AbCdE1z: from=<ann@example.org>, size=512, nrcpt=1 (queue active)
Nov 20 10:00:01 mx postfix/{handed_in}
Nov 20 10:00:01 mx postfix/cleanup[6]: 4AbCdE2z: message-id=<1@evil.example>
Nov 20 10:00:01 mx postfix/qmgr[7]: 4AbCdE2z: from=<ann@example.org>, size=512, nrcpt=1 (queue active)
{last}
"""
FIRST = """\
Nov 20 10:00:01 mx postfix/smtp[8]: 4AbCdE1z: to=<x@evil.example>, orig_to=<club@example.org>, relay=127.0.0.1[127.0.0.1]:10024, dsn=2.0.0, status=sent (250 Ok)
Nov 20 10:00:01 mx postfix/qmgr[7]: 4AbCdE1z: removed"""
SECOND = """\
Nov 20 10:00:01 mx postfix/smtp[8]: 4AbCdE2z: to=<x@evil.example>, relay=mx[192.0.2.1]:25, dsn=2.0.0, status=sent (250 Ok)
Nov 20 10:00:01 mx postfix/qmgr[7]: 4AbCdE2z: removed"""
HANDED_IN = [
    "smtpd[5]: 4AbCdE2z: client=localhost[127.0.0.1]",
    "smtpd[5]: 4AbCdE2z: client=localhost[127.0.0.1]:4711, orig_queue_id=4AbCdE1z, orig_client=far.example[192.0.2.9]",
    "amavis/smtpd[5]: 4AbCdE2z: client=localhost[::1]",
    "pickup[5]: 4AbCdE2z: uid=110 from=<ann@example.org>",
]


@pytest.mark.parametrize("last", [f"{FIRST}\n{SECOND}", f"{SECOND}\n{FIRST}"])
@pytest.mark.parametrize("handed_in", HANDED_IN)
@pytest.mark.parametrize("named", ["<1@evil.example>", "<>", ""])
def test_what_a_content_filter_hands_in_again_teaches_nothing_more(named, handed_in, last):
    """The second time an alias has been resolved, and nothing says so."""
    text = FILTERED.format(handed_in=handed_in, last=last).replace("<1@evil.example>", named)
    assert pairs(text) == []
    log = MailLog(frozenset({"example.org"}), TODAY)
    assert [log.read(line) for line in text.splitlines()] == [None] * len(text.splitlines())
    assert log.skipped == {Skipped.OURSELVES: 1, Skipped.AGAIN: 1}


def test_neither_does_the_second_of_two_that_have_no_message_id_when_the_first_has_gone():
    """Whoever sends two at once must not have the first one's end hide the second."""
    text = FILTERED.format(handed_in=HANDED_IN[0], last="").replace("4AbCdE", "5AbCdE")
    other = FILTERED.format(handed_in=HANDED_IN[0], last=f"{SECOND}\n{FIRST}")
    first_goes = "Nov 20 10:00:01 mx postfix/qmgr[7]: 5AbCdE1z: removed\n"
    lines = other.splitlines(keepends=True)
    assert pairs(text + "".join(lines[:3]) + first_goes + "".join(lines[3:])) == []


@pytest.mark.parametrize(
    "handed_in", ["smtpd[5]: 4AbCdE2z: client=exchange.example[10.0.0.5]", "smtpd[5]: 4AbCdE2z: client=a[2001:db8::1]"]
)
def test_another_machines_copies_for_several_recipients_are_letters_of_their_own(handed_in):
    assert pairs(FILTERED.format(handed_in=handed_in, last=SECOND)) == [("ann@example.org", "x@evil.example", DAY - 3)]


def test_a_message_id_that_was_used_before_is_no_reason():
    first, second = FILTERED.format(handed_in="", last="").splitlines()[:3], FIRST.splitlines()
    again = [
        line.replace("4AbCdE1z", "4AbCdE9z").replace("far.example[192.0.2.9]", "localhost[127.0.0.1]") for line in first
    ]
    sent = SECOND.replace("4AbCdE2z", "4AbCdE9z").splitlines()
    assert len(pairs("\n".join([*first, *second, *again, *sent]))) == 1


def test_an_id_that_is_used_again_is_another_letters():
    front = "Nov 20 10:00:00 mx postfix/"
    begun, removed = (
        f"{front}qmgr[7]: ABCDEF: from=<{{}}>, size=5, nrcpt=1 (queue active)\n",
        f"{front}qmgr[7]: ABCDEF: removed\n",
    )
    sent = f"{front}smtp[7]: ABCDEF: to=<x@else.example>, relay=mx[192.0.2.1]:25, status=sent (250 ok)\n"
    ours, theirs = begun.format("ann@example.org"), begun.format("stranger@evil.example")
    assert len(pairs(ours + sent)) == 1
    assert pairs(ours + theirs + sent) == []
    assert pairs(ours + begun.format("") + sent) == []
    assert pairs(ours + removed + sent) == []
    assert pairs(TAKEN + f"2026-11-20 10:00:01 {EXIMS_ID} Completed\n{SENT}x@else.example{ROUTE}") == []


@pytest.mark.parametrize(
    ("sender", "users"),
    [
        ("prvs=1234abcdef=ann@example.org", ["ann@example.org"]),
        ("prvs=ann/1234abcdef@example.org", ["ann@example.org"]),
        ("SRS0=abc=xy=evil.example=stranger@example.org", []),
        ("SRS1+abc=x@example.org", []),
        ('"ann b"@example.org', ["ann b@example.org"]),
    ],
)
def test_a_sender_that_was_rewritten_is_who_it_was_before_and_a_forwarded_stranger_is_nobody(sender, users):
    lines = TAKEN.replace("ann@example.org", sender) + SENT + "carl@friends.example" + ROUTE
    assert [user for user, _, _ in pairs(lines)] == users


def test_what_was_read_and_what_was_passed_over_is_counted():
    log = MailLog(frozenset({"example.org"}), TODAY)
    for line in [*POSTFIX.splitlines(), "", "nothing", "Nov 20 10:00:00 mx sshd[1]: hello"]:
        log.read(line)
    assert (log.lines, log.understood, log.stranger) == (
        len(POSTFIX.splitlines()) + 2,
        len(POSTFIX.splitlines()),
        "nothing",
    )
    assert log.skipped == {Skipped.OTHERS: 2, Skipped.OURSELVES: 1}


def test_others_mail_teaches_nothing():
    assert pairs(POSTFIX, "unknown.example") == []


def test_a_day_without_a_year_is_the_last_such_day():
    lines = POSTFIX.replace("Nov 20", "Dec 24")
    assert pairs(lines)[0][2] == (date(2025, 12, 24) - date(1970, 1, 1)).days
    assert pairs(POSTFIX.replace("Nov 20", "Feb 31"))[0][2] == DAY


@pytest.mark.parametrize(
    ("stamp", "day"),
    [
        ("Nov 20 10:00:00", date(2026, 11, 20)),
        ("Nov  5 10:00:00.123456", date(2026, 11, 5)),
        ("Nov 05 10:00:00", date(2026, 11, 5)),
        ("Nov 24 10:00:00", date(2025, 11, 24)),
        ("Fri Nov 20 10:00:00 2020", date(2020, 11, 20)),
        ("Fri Nov 20 10:00:00 2030", TODAY),
        ("2026-11-20T10:00:00.123456+00:00", date(2026, 11, 20)),
        ("2026-11-20T10:00:00+0000", date(2026, 11, 20)),
        ("2026-11-20T10:00:00Z", date(2026, 11, 20)),
        ("Fri 2026-11-20 10:00:00 UTC", date(2026, 11, 20)),
        ("Fr 2026-11-20 10:00:00 +0530", date(2026, 11, 20)),
        ("2026-11-20 10:00:00", date(2026, 11, 20)),
        ("2030-01-01T10:00:00Z", TODAY),
        ("1763632800.123456", date(2025, 11, 20)),
        ("2026-11-20_10:00:00.12345", date(2026, 11, 20)),
        ("2026-11-20_10:00:00.12345 mail.info: Nov 19 10:00:00", date(2026, 11, 19)),
        ("@400000006a0ed6c020000000 Nov 19 10:00:00", date(2026, 11, 19)),
        ("@400000006a0ed6c020000000", date(2026, 5, 21)),
        ("2026-11-21T10:00:00.123456789Z stdout F Nov 20 10:00:00", date(2026, 11, 20)),
        ("2026-11-20T10:00:00.123456789+01:00 stderr F", date(2026, 11, 20)),
        ("[mail] | Nov 20 10:00:00", date(2026, 11, 20)),
        ("/var/log/mail.log-1:Nov 20 10:00:00", date(2026, 11, 20)),
        ("mail.log:7:2026-11-20T10:00:00Z", date(2026, 11, 20)),
        ("[   12.345678]", TODAY),
        ("[   12.345678 <    0.000001 >]", TODAY),
        ("Foo 20 10:00:00", TODAY),
        ("Feb 29 10:00:00", TODAY),
    ],
)
def test_every_way_to_write_a_day_is_read_and_none_is_after_today(stamp, day):
    lines = (
        f"{stamp} mx postfix/qmgr[7]: 4Abc12: from=<ann@example.org>, size=5, nrcpt=1 (queue active)\n"
        f"{stamp} mx postfix/smtp[7]: 4Abc12: to=<x@else.example>, relay=mx[192.0.2.1]:25, status=sent (250 ok)\n"
    )
    assert pairs(lines) == [("ann@example.org", "x@else.example", (day - date(1970, 1, 1)).days)]


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(reading, "LETTERS_REMEMBERED_MAX", 10)
    log = MailLog(frozenset({"example.org"}), TODAY)
    for number in range(100):
        log.read(f"Nov 20 10:00:00 mx postfix/qmgr[7]: ABCDE{number}: from=<ann@example.org>, size=5")
    assert len(log._senders) == 10


@given(st.text(max_size=300))
def test_whatever_stands_in_a_log_nothing_breaks(line):
    MailLog(frozenset({"example.org"}), TODAY).read(line)


@pytest.mark.parametrize("octet", [" ", "A", "<", ">", ":", "postfix", " postfix", "from=<"])
def test_a_long_line_is_read_in_time_that_grows_with_its_length(octet):
    log = MailLog(frozenset({"example.org"}), TODAY)
    log.read("Nov 20 10:00:00 mx postfix/qmgr[7]: " + octet * 100_000)
    log.read(octet * 100_000)


def test_lists_have_pairs_or_one_users_addresses():
    text = "# friends\nann@example.org, carl@friends.example\n\nann@example.org\tdora@friends.example # since 2020\n"
    found = read_pairs(iter(text.splitlines()), None, DAY)
    assert [one.other.local for one in found] == ["carl", "dora"]
    user = canonical_recipient("ann@example.org")
    assert [one.user for one in read_pairs(iter(io.StringIO("carl@friends.example\n")), user, DAY)] == [user]


@pytest.mark.parametrize(
    "line", ["ann@example.org", "a@b c@d e@f", "ann@example.org nobody", '"Ann" <ann@example.org>']
)
def test_a_line_that_is_no_pair_is_named(line):
    with pytest.raises(MalformedAddress, match=r"^line 2: "):
        list(read_pairs(iter(["# first", line]), None, DAY))
    with pytest.raises(MalformedAddress):
        read_pair(line, None, DAY)
