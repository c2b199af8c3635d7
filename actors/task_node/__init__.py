"""TaskNode: claims jobs and drives them to the sealed state."""
