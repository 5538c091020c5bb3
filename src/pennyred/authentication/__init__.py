"""Who a sender is: SPF, DKIM, DMARC and ARC, looked up in the DNS within bounds."""
