"""The empirical tangent kernel, its measures, and the flow on a frozen kernel."""
