"""What any service of IBM Quantum is asked, how long, how often, and what an answer means."""
