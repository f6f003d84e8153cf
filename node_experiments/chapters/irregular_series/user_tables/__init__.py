"""A user's table: what its columns, times and cells mean, and the series that it holds."""
