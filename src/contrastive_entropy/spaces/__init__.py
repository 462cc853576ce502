"""Where points are compared: the points themselves, principal components, features of a classifier or of Inception."""
