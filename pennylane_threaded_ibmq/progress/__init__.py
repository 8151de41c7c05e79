"""What a person sees of a batch: progress, timelines, tables."""
