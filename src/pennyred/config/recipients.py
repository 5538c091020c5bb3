"""The file of rules for single recipients: a table for each address or domain."""

import tomllib
from typing import Any

from pennyred.config import kinds, values
from pennyred.config.kinds import Convert
from pennyred.config.settings import RecipientSettings
from pennyred.config.tables import Tables

_KEYS: dict[str, Convert] = {
    "price": kinds.number(1, 1000),
    "mode": kinds.choice("require", "bulk", "monitor"),
    "free": kinds.typed(bool, "true or false"),
    "networks": kinds.texts(values.network),
    "senders": kinds.by_name(values.mailbox_or_domain, values.network, '{"news.example" = []}'),
}


def read_recipient_rules(reader: Tables, value: Any) -> dict[str, RecipientSettings]:
    """Read the rules from the file that `value` names, by canonical address or domain.

    What is wrong in the file goes to the reader's complaints, under the file's name. Raises ValueError if the file
    cannot be read at all.
    """
    path, text = reader.path(value), reader.text_of(value)
    assert path is not None
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'a file in TOML, like ["bob@example.org"] price = 5 ({error})') from error
    inner = Tables(path, path.parent)
    rules: dict[str, RecipientSettings] = {}
    for written, table in document.items():
        try:
            name = values.mailbox_or_domain(written)
        except ValueError as error:
            inner.complain(f'"{written}"', "will not do", str(error))
            continue
        rules[name] = inner.struct(f'"{written}"', table, RecipientSettings, _KEYS)
    reader.complaints += inner.complaints
    return rules
