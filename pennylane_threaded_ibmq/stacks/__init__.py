"""The two stacks: one folder each, with what differs between them."""
