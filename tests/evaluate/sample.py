"""The text that tests of evaluations read: 840 bytes, no two passages alike."""

TEXT = "".join(chr(97 + i * i % 23) + " " * (i % 5 == 0) for i in range(700))
