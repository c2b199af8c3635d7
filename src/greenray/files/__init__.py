"""Files that a person names: they appear whole, and take the place of regular files only."""
