"""The terminal: its abilities (`detect`), output as differences (`driver`, `grid`), checked input (`input_filter`)."""
