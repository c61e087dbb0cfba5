"""What the student should match."""
