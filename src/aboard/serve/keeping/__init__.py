"""What a server keeps in a folder: files, and batches with their answers. It knows no HTTP."""
