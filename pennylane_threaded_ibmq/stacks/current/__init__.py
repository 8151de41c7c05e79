"""The current stack: today's PennyLane and IBM's newest client."""
