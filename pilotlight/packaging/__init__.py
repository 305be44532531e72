"""From a model's source to the artifact that is deployed and served; from the handlers to the function's zip."""
