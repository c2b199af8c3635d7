"""The chain as actors see it: cached, and allowed to be a few blocks behind."""
