"""The verbs: the gate's desk, the office's desk, franking; and the ports they need from outside."""
