"""What every container of ours is beside its purpose: an HTTP server that reads bodies with care and leaves when it is told to."""
