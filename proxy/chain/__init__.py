"""What becomes of steps after their call: recovering those that were left open."""
