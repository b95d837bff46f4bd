"""What ships: GGUF files, written whole or not at all, and the import of checkpoints into them."""
