"""Where the time of one object went: recorded, collected, asked and drawn."""
