"""Child processes: explicit environment, own group, gone when their parent is.

child    spawn a program, its pipes, its end
keeper   the small process between us and it, run on its own
stderr   what it says, as bounded log lines
"""
