"""The one listener for HTTP from others: how many connections, how long a head, how slow."""
