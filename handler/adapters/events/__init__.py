"""The adapters of outcome events: the table's stream they come from, the targets they go to."""
