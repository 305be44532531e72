"""Ready stacks as one would write them by hand: no component, no contract, nothing that could be another cloud. For comparison."""
