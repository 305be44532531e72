"""The common container handler: one model server that speaks every platform's contract."""
