"""Data sets: embedded digits, toy laws, the hub's images, and the user's own files."""
