"""What `doctor` looks at: one file a section, each of which only looks and says what to do."""
