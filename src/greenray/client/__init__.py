"""The user's side: put, get and status over HTTP and the chain. Neither Ray nor servers here."""
