"""Many runs: plans, local processes, Dask."""
