"""The settings: frozen, typed, read once by `programs`; every complaint at once.

::

    settings    what can be set, with its default and what it is for
    values      a setting's text to what it means: sizes, addresses, networks, URLs
    reading     find the file, read it, collect the complaints
"""

from pennyred.config.reading import BadSettings, Complaint, find_settings, parse_settings, read_settings
from pennyred.config.settings import (
    AllowanceSettings,
    ExemptSettings,
    GateSettings,
    IssuerSettings,
    OfficeSettings,
    RelaySettings,
    Settings,
)

__all__ = [
    "AllowanceSettings",
    "BadSettings",
    "Complaint",
    "ExemptSettings",
    "GateSettings",
    "IssuerSettings",
    "OfficeSettings",
    "RelaySettings",
    "Settings",
    "find_settings",
    "parse_settings",
    "read_settings",
]
