"""Readers of other people's files: bounds-checked and lazy, for they face untrusted bytes."""
