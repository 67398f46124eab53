"""What the queue function stands on, twice: `standard` is the reference, `lean` does the same with less."""
