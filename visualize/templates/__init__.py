"""The page's template, style and script, which `visualize.page` puts into one file."""
