"""Where points are compared: features of a classifier, or of Inception."""
