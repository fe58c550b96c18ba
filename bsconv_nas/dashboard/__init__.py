"""The page of accuracy versus MACs: a small web server that only reads, and the page's files."""
