"""Tables, figures and pages from the folders of runs; reads their files only, imports no torch."""
