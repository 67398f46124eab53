"""The transaction table behind the ports of a payment and of its approval."""
