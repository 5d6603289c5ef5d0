"""What is published: built with the project's own build backend, and installed where nothing else is."""
