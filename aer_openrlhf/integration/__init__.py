"""The glue between a method and OpenRLHF: subclasses of its Ray actors, flags, checks. It holds no maths."""
