"""The settings: frozen, typed, read once by `programs`; all that is wrong is reported at once.

::

    settings    what can be set, with its default and what it is for
    values      converters for the texts in the settings: sizes, addresses, networks, URLs
    kinds       converters for the types of TOML: texts, lists, numbers, tables
    validation  the whole file: its keys, their converters, and checks across keys
    tables      one table of the file, as a struct
    issuers     checks of the [[issuer]] tables together with the gate's
    recipients  the file of rules for single recipients
    complaints  what is wrong, and what was expected
    reading     finds the file and reads it
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
