"""The stack `azure-container-apps-gpu-events` by hand: that of CPUs, whose settings tell it of the GPU."""

# Importing a program runs it, as the language host does.
import benchmarks.handwritten.azure_container_apps_events  # noqa: F401 (run, not used)
