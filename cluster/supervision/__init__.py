"""Whether the processes of a network live and answer, and what is done about those that do not."""
