"""Address fields as programs and people write them, which servers on the way write anew in their own spelling."""

WRITTEN_ANEW = [
    "bob@example.org,carl@example.org", "bob@example.org ,  carl@example.org", "bob@example.org,,carl@example.org,",
    "Team: bob@example.org,carl@x.example;", "Team:bob@example.org, carl@x.example ;, d@x.example",
    "Team: ,bob@example.org,;", "Team: a@b.example;,Crew:c@d.example;", "A.B: x@y.example;",
    "root", "Root <root>, postmaster", "Smith, Bob <bob@example.org>", "friends: bob, carl;",
    "John Q. Public <bob@example.org>", "Ann O'Neil [x] <a@b.example>", "Bob @ home <bob@example.org>",
    "'Bob' <bob@example.org>, Ann|B {x} !y #z <c@d.example>", '"Bob" B. <bob@example.org>',
    'Bob "x.y" C. <a@b.example>', "Bob (the, x.y) B. Q <bob@example.org>", "Bob B. (x) <a@b.example>",
    "D'A (x) =?utf-8?b?SsO2cmc=?= <a@b.example>", ". <a@b.example>", "Dr.Bob <a@b.example>",
    "=?utf-8?q?J=C3=B6rg?= B. <bob@example.org>", "=?utf-8?q?J=C3=B6rg_M.?= <bob@example.org>",
    "=?utf-8?q?J=C3=B6rg'?= =?utf-8?q?B?= <a@b.example>",
    "(Bob)bob@example.org", "bob@example.org(Bob)", "< bob@example.org >", "Bob <bob@Example.ORG.>",
    "bob . b @ example . org", "<@relay.example:bob@example.org>",
    '"bob b"@example.org, "bob"@example.org', '"bob".x@example.org', '"x y"."z w"@b.example',
    ".a@x.example, a..b@x.example, a.@x.example", "x <.a@b.example>",
]  # fmt: skip
"""Each is altered by sendmail or Postfix as it stands."""

LEFT_ALONE = [
    "bob@example.org", "Bob <bob@example.org>", '"Bob"<bob@example.org>', "bob@example.org (Bob (the) B.)",
    "bob@[192.0.2.1]", "bob@[IPv6:2001:db8::1]", "Bob/B = C <bob@example.org>", "Bob <bob@example.org>(Bob)", "Bob(x)<a@b.example>",
    "bob%x.example@example.org, a!b@example.org", "undisclosed-recipients:;", '"=?utf-8?q?a.b?=" <a@b.example>',
    '"a\\"b"@x.example, "a\\\\b"@x.example, "a,b"@x.example', "o'neil@b.example", '"" <a@b.example>',
    "a{b}|c=d/e?f*g#h$i%j@b.example", "A  B   <a@b.example>,\r\n\tC <c@d.example>", "a@b.example (a.b@c)",
]  # fmt: skip
