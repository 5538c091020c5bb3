"""The post office: accounts, licences, receipts, redemption."""
