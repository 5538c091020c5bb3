"""Which grammar the value of a header field follows: it decides what may become an encoded word, and where to fold.

An encoded word may stand only in unstructured text, in a phrase and in a comment (RFC 2047 section 5). So the field's
grammar decides, not what the value looks like. The field names are from the IANA registry of message header fields.
"""

from enum import Enum


class Grammar(Enum):
    """The grammars that header fields follow."""

    TEXT = "unstructured text, for people"
    ADDRESSES = "addresses with names, groups and comments (RFC 5322 section 3.4)"
    PHRASES = "phrases with commas between them (RFC 5322 section 3.6.5)"
    IDS = "message ids, and in old letters phrases (RFC 5322 section 3.6.4)"
    URIS = "URIs in angle brackets, and comments (RFC 2369 section 2, RFC 5064 section 2.2)"
    PARAMETERS = "a value and its parameters (RFC 2045 section 5.1, RFC 2183 section 2)"
    COMMENTS = "tokens of a machine's, and comments"
    RIGID = "a machine's, in which nothing may be spelt in another way"
    UNKNOWN = "a field that is nowhere registered"


_NAMES: dict[Grammar, str] = {
    Grammar.TEXT: "subject comments content-description organization organisation original-subject thread-topic"
    " summary user-agent",
    Grammar.ADDRESSES: "from to cc bcc reply-to sender resent-from resent-to resent-cc resent-bcc resent-sender"
    " resent-reply-to list-id apparently-to author disposition-notification-to return-receipt-to errors-to"
    " mail-followup-to mail-reply-to original-from original-recipient delivered-to approved",
    Grammar.PHRASES: "keywords",
    Grammar.IDS: "message-id in-reply-to references content-id resent-message-id supersedes obsoletes"
    " original-message-id",
    Grammar.URIS: "list-archive list-help list-owner list-post list-subscribe list-unsubscribe archived-at"
    " content-location content-base",
    Grammar.PARAMETERS: "content-type content-disposition",
    Grammar.COMMENTS: "date resent-date mime-version content-transfer-encoding content-language content-md5"
    " content-duration authentication-results received-spf auto-submitted accept-language expires expiry-date reply-by"
    " deferred-delivery latest-delivery-time delivery-date importance priority precedence sensitivity encrypted"
    " list-unsubscribe-post require-recipient-valid-since disposition-notification-options mt-priority tls-required"
    " tls-report-domain tls-report-submitter vbr-info solicitation jabber-id message-context message-type"
    " newsgroups followup-to distribution path xref control cfbl-address cfbl-feedback-id sio-label sio-label-history"
    " pics-label ediint-features injection-date injection-info lines archive article-names article-updates also-control"
    " date-received see-also nntp-posting-date nntp-posting-host posting-version relay-version alternate-recipient"
    " autoforwarded autosubmitted conversion conversion-with-loss delivery-report discarded-x400-ipms-extensions"
    " discarded-x400-mts-extensions dl-expansion-history generate-delivery-report incomplete-copy language"
    " original-encoded-information-types originator-return-address prevent-nondelivery-report",
    Grammar.RIGID: "received return-path dkim-signature domainkey-signature arc-seal arc-message-signature"
    " arc-authentication-results autocrypt autocrypt-gossip feedback-id bimi-selector bimi-location bimi-indicator"
    " openpgp hp-outer face x-face x-postage-stamp x-postage-pass",
}
_GRAMMARS = {name.encode(): grammar for grammar, names in _NAMES.items() for name in names.split()}
_FAMILIES = {
    b"content-": Grammar.COMMENTS,
    b"list-": Grammar.URIS,
    b"resent-": Grammar.ADDRESSES,
    b"arc-": Grammar.RIGID,
    b"dkim": Grammar.RIGID,
    b"bimi-": Grammar.RIGID,
    b"mmhs-": Grammar.COMMENTS,
    b"x400-": Grammar.COMMENTS,
}
_PREFIXES = (b"x-original-", b"x-google-", b"x-")
_KEPT_BEHIND_X = frozenset((Grammar.URIS, Grammar.RIGID))


def grammar_of(key: bytes) -> Grammar:
    """The grammar of the field with this name (in lower case).

    A private field (X-) is text, as in RFC 2047, unless it is a known machine-readable field with X- before its name.
    """
    prefix = next((one for one in _PREFIXES if key.startswith(one)), b"")
    if not prefix or key in _GRAMMARS:
        return _registered(key)
    behind = _registered(key.removeprefix(prefix))
    is_results = key.endswith(b"authentication-results")
    return behind if behind in _KEPT_BEHIND_X or is_results else Grammar.TEXT


def _registered(key: bytes) -> Grammar:
    family = next((grammar for start, grammar in _FAMILIES.items() if key.startswith(start)), Grammar.UNKNOWN)
    return _GRAMMARS.get(key, family)
