"""What is written down: the journal of batches and the records of circuits. Nothing else knows SQLite."""
