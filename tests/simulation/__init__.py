"""The shipped code against models of its queue, table and gateway under a virtual clock; one seed is one history."""
