"""How a ledger's journal proves what a stamp was used for."""
