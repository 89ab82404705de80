//! What goes right.
