"""The journal of batches and the records of circuits, on disk. Nothing else knows SQLite."""
