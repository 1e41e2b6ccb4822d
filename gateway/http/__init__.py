"""HTTP listeners (agent, callback, repository, admin) and the guarded HTTP client."""
