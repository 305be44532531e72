"""The stack `gcp-cloud-run-gpu-events` by hand: that of CPUs, whose settings tell it of the GPU."""

# Importing a program runs it, as the language host does.
import benchmarks.handwritten.gcp_cloud_run_events  # noqa: F401 (run, not used)
