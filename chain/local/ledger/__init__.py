"""What the embedded chain holds, and what the messages of a dialect change it by."""
