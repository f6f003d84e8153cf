"""Models of irregular series (Rubanova et al. 2019), also for a user's own data."""
