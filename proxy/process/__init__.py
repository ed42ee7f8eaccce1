"""Child processes: explicit environment, own group, gone when their parent is."""
