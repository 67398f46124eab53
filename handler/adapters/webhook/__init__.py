"""What the gateway's events become: their signatures and secrets, Stripe's words, and the queue of wake-ups."""
