"""What a stamp is and when it counts: pure values and rules."""
