"""A trace as screens and commands show it: pure, without a clock."""
