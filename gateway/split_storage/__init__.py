"""Split storage: evaluator, bucket store, the directory that fills it, the gateway that asks it."""
