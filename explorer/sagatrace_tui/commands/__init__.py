"""The commands of `sagatrace`, one module per group; none of them needs textual."""
