"""What the host needs of the world, as protocols; nothing here does anything."""
