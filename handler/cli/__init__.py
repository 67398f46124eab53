"""The command `payments`, for the people who run the system; it is not in any deployment package."""
