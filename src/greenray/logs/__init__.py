"""What the processes of a network write down about themselves, where, and how much of it."""
