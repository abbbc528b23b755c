"""The operations page: an operator's session, what is shown live, and the files that the browser gets."""
