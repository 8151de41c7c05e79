"""Random circuits, run on this device and compared with exact references.

``cases`` makes them as source texts from ``gates`` and ``values``, ``reference`` says what is right, ``compare`` judges
with a stated rate of false alarms, ``check`` runs a case, makes a failing one small and prints it as a program. Both
stacks use it, so it is written for Python 3.8.
"""
