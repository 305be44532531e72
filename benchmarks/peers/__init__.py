"""What the model server is compared with, each in an environment of its own."""
