"""Progress, timelines and tables of batches, for people."""
