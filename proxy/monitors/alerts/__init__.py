"""Alert sinks, one file each."""
