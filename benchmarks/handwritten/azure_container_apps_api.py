"""The stack `azure-container-apps-api` by hand: that with a GPU, whose settings tell it that there is none."""

# Importing a program runs it, as the language host does.
import benchmarks.handwritten.azure_container_apps_gpu_api  # noqa: F401 (run, not used)
