"""Tables and pictures, for notebooks and documents."""
