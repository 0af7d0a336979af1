"""Pages that people read: one self-contained HTML file each, built from :mod:`theory.pages.kit`."""
