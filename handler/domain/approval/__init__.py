"""A risky payment and the person who decides on it: standard library alone."""
