"""The commands of `sagatrace`, one module for each group. They never import textual."""
