"""What fills the terminal: composition, keys and feeds; no domain logic."""
