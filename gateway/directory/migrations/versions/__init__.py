"""A step a file, never changed once it was released."""
