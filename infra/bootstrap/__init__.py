"""The composition root: the only place where settings meet adapters and adapters meet ports."""
