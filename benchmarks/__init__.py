"""Every figure that the documents claim, measured on the machine that runs this: `python -m benchmarks NAME`."""
