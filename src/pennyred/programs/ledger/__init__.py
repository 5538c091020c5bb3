"""How programs come to a ledger: `opening` it, or asking who has it; a service's `ownership`; its ledger `process`."""
