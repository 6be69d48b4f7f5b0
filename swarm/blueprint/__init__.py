"""What an author hands in, and what the compiler hands on."""
