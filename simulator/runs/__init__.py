"""The plumbing of a run: settings, files, folders, stages, estimates. It knows no science."""
