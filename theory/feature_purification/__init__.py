"""The claims of Allen-Zhu & Li, "Feature Purification" (arXiv 2005.10190), one file each.

To add a theorem: write a file here with ``CLAIM``, ``RUNS`` (see :mod:`theory.plans`) and
``confront(runs) -> Finding``. The command, the report and the tests find it by themselves; ``python
-m scripts.register`` notes its thresholds.
"""
