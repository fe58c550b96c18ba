"""What a study shows outside a terminal: the report page, figures as files, a figure in a notebook."""
