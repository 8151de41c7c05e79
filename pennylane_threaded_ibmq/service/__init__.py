"""Questions to any service of IBM Quantum: how long, how often, and what an answer means."""
