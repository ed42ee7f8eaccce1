"""What watches calls and results, and who is told."""
