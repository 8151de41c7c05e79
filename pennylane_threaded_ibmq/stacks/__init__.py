"""What differs between the two stacks: one folder each."""
