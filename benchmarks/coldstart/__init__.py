"""The cold-start lab: init, first and warm invocations of the real function, cold, per engine and memory size."""
