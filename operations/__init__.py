"""The command `payments`, for the people who run the system; it is in no deployment package."""
