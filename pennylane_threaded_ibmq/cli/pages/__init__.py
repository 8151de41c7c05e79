"""Pages to look at in a browser: the journal, its batches and budgets, and what executors ran."""
