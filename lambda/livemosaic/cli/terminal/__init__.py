"""The command line: its help, and the file of its options."""
