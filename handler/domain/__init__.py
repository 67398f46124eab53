"""What a payment is and how it moves; the standard library only, every side effect behind a port."""
