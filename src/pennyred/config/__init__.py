"""The settings: frozen, typed, read once by `programs`; every complaint at once.

::

    settings    what can be set, with its default and what it is for
    values      a setting's text to what it means: sizes, addresses, networks, URLs
    kinds       the kinds of value TOML has, as converters
    validation  one document: its keys, what each means, what they say of each other
    tables      one table of it, as a struct
    issuers     what those of offices elsewhere say together with the gate's
    recipients  the file of rules for single recipients
    complaints  what is wrong, said so that it can be mended
    reading     find the file, read it
"""

from pennyred.config.complaints import BadSettings, Complaint
from pennyred.config.reading import find_settings, parse_settings, read_settings
from pennyred.config.settings import (
    AllowanceSettings,
    AuthenticationSettings,
    ExemptSettings,
    GateSettings,
    IssuerSettings,
    OfficeSettings,
    OutgoingSettings,
    QuarantineSettings,
    RelaySettings,
    Settings,
)

__all__ = [
    "AllowanceSettings",
    "AuthenticationSettings",
    "BadSettings",
    "Complaint",
    "ExemptSettings",
    "GateSettings",
    "IssuerSettings",
    "OfficeSettings",
    "OutgoingSettings",
    "QuarantineSettings",
    "RelaySettings",
    "Settings",
    "find_settings",
    "parse_settings",
    "read_settings",
]
