"""The terminal: its abilities, Textual's driver for it, and what goes in and out. Written for any terminal over SSH."""
